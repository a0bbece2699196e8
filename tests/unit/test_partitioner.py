"""Partition of a key: the same number that Java's default partitioner gives."""

import pytest

from streams.kafka.partitioner import murmur2, partition_of

JAVA = {
    b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829, b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}  # fmt: skip
"""Hashes from Apache Kafka's own UtilsTest, signed as in Java."""


@pytest.mark.parametrize(("key", "signed"), JAVA.items())
def test_hashes_of_java(key: bytes, signed: int) -> None:
    """Java's numbers, for keys of every length modulo 4; a partition is the hash without its sign bit, modulo."""
    assert murmur2(key) == signed & 0xFFFFFFFF
    for partitions in (1, 6, 12, 1_000):
        assert partition_of(key, partitions) == (signed & 0x7FFFFFFF) % partitions


def test_the_empty_key() -> None:
    """It has a place too."""
    assert partition_of(b"", 12) == 275646681 % 12
