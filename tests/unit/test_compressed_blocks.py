"""ClickHouse's compressed blocks, as other drivers write them (ch-go 0.74), and bad ones."""

import pytest

from sinks.chdb.encodings import compressed_blocks, decoded, decompressed_blocks, encoded
from sinks.chdb.request import EngineError

TEXT = b"Net Promoter Score, Net Promoter Score"
BLOCKS = {
    "lz4": "77eacf71d432f282eef4945d9c0760c5823000000026000000f0054e65742050726f6d6f7465722053636f72652c201400e0"
           "50726f6d6f7465722053636f7265",
    "zstd": "7f6f8c5eb4e98bc8d64745cf70a1c42290320000002600000028b52ffd0400e5000044014e65742050726f6d6f7465722053"
            "636f72652c20015412040f2ea4ce1b54",
    "none": "f33bf66027ae5c8b789de21737d4c121021b000000120000004e65742050726f6d6f7465722053636f7265",
}  # fmt: skip


@pytest.mark.parametrize("method", BLOCKS)
def test_blocks_of_another_driver_are_read(method: str) -> None:
    """Of each method, alone and behind each other."""
    block, text = bytes.fromhex(BLOCKS[method]), TEXT if method != "none" else TEXT[:18]
    assert decompressed_blocks(block) == text
    assert decompressed_blocks(block * 3) == text * 3


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_what_is_packed_is_unpacked(size: int) -> None:
    """Whatever its size, in blocks of up to 1 MiB."""
    body = bytes(n * n & 255 for n in range(1_000)) * 3_000
    assert decompressed_blocks(compressed_blocks(body[:size])) == body[:size]


@pytest.mark.parametrize(
    ("at", "byte", "code"), [(0, 1, 40), (16, 0x83, 40), (17, 0, 33), (17, 255, 33), (30, 0, 40), (None, 0, 33)]
)
def test_a_bad_block_is_named(at: int | None, byte: int, code: int) -> None:
    """Cut short, or changed anywhere: never other bytes in silence."""
    block = bytearray.fromhex(BLOCKS["lz4"])
    if at is None:
        block = block[:20]
    else:
        block[at] = byte
    with pytest.raises(EngineError) as error:
        decompressed_blocks(bytes(block))
    assert error.value.code == code


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip"])
def test_bodies_by_content_encoding(encoding: str) -> None:
    """What is packed is unpacked, frame behind frame; anything else is refused."""
    assert decoded(encoded(TEXT, encoding) * 2, encoding) == TEXT * 2
    with pytest.raises(EngineError, match="CANNOT_DECOMPRESS"):
        decoded(encoded(TEXT, encoding)[:-1], encoding)
    with pytest.raises(EngineError, match="use lz4, zstd, gzip, not br"):
        decoded(TEXT, "br")
