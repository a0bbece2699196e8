"""Laws of sources under garbage: no input ends the mapper or the reader, and no record costs more than its bound."""

import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from streams.kafka.ports import KafkaRecord
from streams.sources.evaluation import MOST_WORK
from streams.sources.language import MOST_EVENTS
from streams.sources.mapper import Mapper
from streams.sources.reading import BadMapping, load, read
from tests.support.laws import seeds

FOLDER = Path(__file__).parents[1] / "contract" / "sources"
SHIPPED = Path(__file__).parents[2] / "deploy" / "sources"
FILES = [*sorted(FOLDER.glob("*/mapping.toml")), SHIPPED / "shopify.toml"]
KEY = b"a key for pseudonyms"
LONG_RUN = 100_000

PIECES = [
    b"null", b'""', b"[]", b"{}", b"[[[[[[[[", b"1e999", b"-1e-999", b"9" * 70, b'"\\ud800"', b"\xff", b"\x00", b"NaN",
    b'"@"', b'"2026-01-02T03:04:05Z"', b"true", b",", b"}", b"=", b"/", b"~", b"'", b'"""', b"#", b"\n", b"./a",
    b"@header/", b"1.5", b"events", b"\xef\xbb\xbf", b"\x1f\x8b", b"%zz", b"<b><!--", b"&#x110000;",
]  # fmt: skip


def payloads() -> list[tuple[Mapper, bytes]]:
    """Every sample that has a value, with the mapper of its system."""
    found = []
    for file in FILES:
        mapper = Mapper(load(file), key=KEY)
        samples = [
            path
            for path in (file.parent / "samples" if file.parent == SHIPPED else file.parent).iterdir()
            if not path.name.endswith((".toml", ".expected.json", ".meta.json", ".avsc"))
        ]
        found += [(mapper, path.read_bytes()) for path in sorted(samples)]
    return found


def garbled(rng: random.Random, data: bytes) -> bytes:
    """The bytes with one to four places changed: overwritten, cut out, doubled, or with a piece put in."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(found) + 1)
        end = min(len(found), start + rng.choice([0, 1, 1, 2, 8, 64]))
        way = rng.randrange(4)
        if way == 0:
            found[start:end] = bytes(rng.randrange(256) for _ in range(end - start))
        elif way == 1:
            del found[start:end]
        elif way == 2:
            found[start:start] = found[start:end]
        else:
            found[start:end] = rng.choice(PIECES)
    return bytes(found)


def run_payloads(runs: Sequence[int]) -> Counter[str]:
    """Map a garbled sample for each seed; what they became."""
    every, outcomes = payloads(), Counter[str]()
    for seed in runs:
        rng = random.Random(seed)
        mapper, data = rng.choice(every)
        headers = [
            (
                rng.choice(["X-Shopify-Topic", "ce_id", "content-encoding"]),
                rng.choice([b"gzip", b"orders/create", b"\xff", None]),
            )
        ]
        mapped = mapper.map(
            KafkaRecord(
                0,
                rng.choice([-1, 0, 1_769_860_800_000]),
                rng.choice([None, b"k", b"\xff"]),
                garbled(rng, data),
                headers,
            )
        )
        outcomes[str(mapped.letter.reason) if mapped.letter else "mapped" if mapped.events else "ignored"] += 1
        if mapped.letter is not None:
            assert "\n" not in mapped.letter.detail
            assert len(mapped.letter.detail) < 1_000
    return outcomes


def run_files(runs: Sequence[int]) -> Counter[str]:
    """Read a garbled mapping file for each seed; how many were refused."""
    every, outcomes = [file.read_bytes() for file in FILES], Counter[str]()
    for seed in runs:
        rng = random.Random(seed)
        try:
            Mapper(read(garbled(rng, rng.choice(every)), "file.toml"), key=KEY)
            outcomes["read"] += 1
        except BadMapping as error:
            outcomes["refused" if str(error).startswith("file.toml:") else str(error)] += 1
    return outcomes


def test_no_payload_ends_the_mapper() -> None:
    """A garbled record becomes events, a letter with one short line, or nothing."""
    outcomes = run_payloads(seeds(5_000))
    assert outcomes["mapped"] > 20
    assert outcomes["undecodable"] > 20
    assert len(outcomes) >= 5


def test_no_mapping_file_ends_the_reader() -> None:
    """A garbled file is read, or refused with a line."""
    outcomes = run_files(seeds(2_000))
    assert set(outcomes) == {"read", "refused"}
    assert outcomes["read"] > 5


@pytest.mark.long
@pytest.mark.parametrize("run", [run_payloads, run_files])
def test_no_input_of_a_hundred_thousand_ends_anything(run: Callable[[Sequence[int]], Counter[str]]) -> None:
    """The same, for as long as it takes."""
    assert sum(run(range(LONG_RUN)).values()) == LONG_RUN


def test_memory_does_not_grow_with_records() -> None:
    """The mapper keeps nothing of a record: after some hundreds, thousands more take no memory."""
    run_payloads(range(300))
    every = payloads()
    tracemalloc.start()
    try:
        map_all(every, 200)
        before, _ = tracemalloc.get_traced_memory()
        map_all(every, 2_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000


def map_all(every: Sequence[tuple[Mapper, bytes]], count: int) -> None:
    """Map garbled samples, with ids and customers that are never the same."""
    for number in range(count):
        mapper, data = every[number % len(every)]
        mapper.map(KafkaRecord(number, 1, str(number).encode(), garbled(random.Random(number), data)))


COSTLY = """name = "costly"
topic = "a.topic"
otherwise = "ignore"
[[events]]
to = "purchases"
each = "/a"
when = { "./x" = { not = "y" } }
source = "s"
id = { join = ["/text", "./x"], as = "digest" }
type = "t"
time = { at = "@record/timestamp", as = "millis" }
customer_id = { of = "/a", where = { "./x" = { differs_from = "/text" } }, largest = "./n", take = "./x" }
order_id = { of = "/b/0/c", take = "/text", after = "x" }
"""


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('{"a":[' + ",".join(['{"x":"1","n":1}'] * 1_000) + '],"b":[{"c":[1]}],"text":"ax1"}', "too_many_events"),
        ('{"a":[' + ",".join(["1"] * 1_001) + "]}", "too_many_events"),
        ('{"a":["1"],"text":"' + "x" * 1_040_000 + '"}', "missing_field"),
        ('{"a":["1","2","3","4"],"text":"' + "<" * 1_040_000 + '"}', "missing_field"),
        ('{"a":[1],"text":' + "[" * 900 + "]" * 900 + "}", "bad_value"),
        ('{"a":[1],"text":' + "9" * 10_000 + "}", "undecodable"),
        ('{"' + "a" * 1_048_500 + '":1}', None),
        ("[" * 1_048_576, "undecodable"),
        ("1" * 1_048_577, "too_large"),
    ],
)  # fmt: skip
def test_work_has_a_bound(value: str, reason: str | None) -> None:
    """Elements of elements and long texts end as a letter once MOST_WORK is done, however the mapping reads them."""
    mapped = Mapper(read(COSTLY.encode(), "costly.toml"), key=KEY).map(
        KafkaRecord(0, 1_769_860_800_000, b"k", value.encode())
    )
    assert len(mapped.events) <= MOST_EVENTS
    assert (mapped.letter and str(mapped.letter.reason)) == reason


def test_the_bound_of_work_leaves_room_for_what_is_usual() -> None:
    """A thousand elements, each looked at by a few expressions, are mapped."""
    assert MOST_WORK >= 10 * MOST_EVENTS
    text = COSTLY.replace(
        'of = "/a", where = { "./x" = { differs_from = "/text" } }, largest = "./n", take = "./x"', 'at = "./x"'
    )
    value = (
        '{"a":[' + ",".join(f'{{"x":"{number}x","n":1}}' for number in range(1_000)) + '],"b":[{"c":[1]}],"text":"ax1"}'
    )
    mapped = Mapper(read(text.encode(), "usual.toml"), key=KEY).map(
        KafkaRecord(0, 1_769_860_800_000, b"k", value.encode())
    )
    assert (len(mapped.events), mapped.letter) == (1_000, None)
