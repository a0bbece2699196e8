"""Laws of sources: the compiled mapping is the plain interpreter, and each path of a TOML text has its line."""

import tomllib
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.kafka.ports import KafkaRecord
from streams.sources.mapper import Mapped, Mapper
from streams.sources.positions import TomlPath, positions
from streams.sources.reading import read
from tests.support.laws import examples
from tests.support.plain_mapping import Outcome, customer_of, interpreted
from tests.support.toml_text import toml_text

KEY = b"a key for pseudonyms"

# JSON as text, so that numbers keep their digits; few keys, so that places are often found
KEYS = ["a", "b", "c", "0", "b/c"]
SCALARS = [
    "null", '""', '"x"', '"EUR"', '"jpy"', '"a/b/c"', '"granted"', '" "', '"me@example.com"', '"true"', "true", "false",
    "0", "1", "9", "-3", "10.0", "1.50", "1e2", "12.345", "1.1e-3", "123456789012345678901234567890", '"12.50"', '"7"',
    '"1,5"', '"NaN"', '"D54="', '"2026-01-02T03:04:05Z"', '"2026-01-02T03:04:05.123456789+02:00"',
    '"2026-10-25 02:30:00"', "1767323045", '"1767323045.9"', "1767323045123", '"1767323045123456"',
    '"0999-01-01T00:00:00Z"',
    '"__debezium_unavailable_value"', '"\\u00e9\\ud83d\\ude00"',
]  # fmt: skip
JSON = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda parts: f"[{','.join(parts)}]"),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=4).map(
            lambda parts: "{" + ",".join(f'"{key}": {value}' for key, value in parts.items()) + "}"
        ),
    ),
    max_leaves=12,
)
DOCUMENTS = st.one_of(JSON, *[st.tuples(JSON, JSON, JSON).map('{{"a":{0[0]},"b":{0[1]},"c":{0[2]}}}'.format)] * 3)
TOKENS = st.lists(st.sampled_from(["a", "b", "c", "0", "1", "b~1c"]), min_size=1, max_size=2)
ROOTS = TOKENS.map(lambda tokens: "/" + "/".join(tokens))
ITEMS = st.one_of(st.just("."), TOKENS.map(lambda tokens: "./" + "/".join(tokens)))
SPECIAL = st.sampled_from(["@header/Kind", "@key", "@record/timestamp"])
WORDS = st.sampled_from(["x", "7", "true", "EUR", "granted", "a/b/c", "1.50"])


def places(*, in_element: bool) -> st.SearchStrategy[str]:
    """Places of an event."""
    return st.one_of(ROOTS, ITEMS, SPECIAL) if in_element else st.one_of(ROOTS, ROOTS, SPECIAL)


def wanted_of(*, in_element: bool) -> st.SearchStrategy[Any]:
    """What a condition wants."""
    wanted = st.one_of(WORDS, st.integers(0, 9), st.booleans())
    some = st.one_of(wanted, st.lists(wanted, min_size=1, max_size=3))
    table = st.fixed_dictionaries(
        {},
        optional={
            "not": some, "exists": st.booleans(), "at_least": st.integers(-3, 20), "starts": WORDS,
            "differs_from": places(in_element=in_element),
        },
    ).filter(bool)  # fmt: skip
    return st.one_of(some, table)


def conditions(*, in_element: bool) -> st.SearchStrategy[dict[str, Any]]:
    """A `when` or `where`."""
    return st.dictionaries(places(in_element=in_element), wanted_of(in_element=in_element), min_size=1, max_size=2)


@st.composite
def tables(draw: st.DrawFn, kind: str, in_element: bool, must_read: bool = False) -> dict[str, Any]:
    """A value written as a table."""
    table: dict[str, Any] = draw(sources(kind, in_element, must_read))
    if draw(st.booleans()) and kind in ("text", "time"):
        table["after"] = draw(st.sampled_from(["/", "x", "T"]))
    if kind == "text" and draw(st.booleans()):
        table["map"] = draw(st.dictionaries(WORDS, WORDS, min_size=1, max_size=3))
        if draw(st.booleans()):
            table["else"] = draw(WORDS)
    conversions = {
        "text": ["text", "lower", "upper", "digest", "pseudonym"], "int": ["int", "money"], "bool": ["bool"],
        "time": ["time", "seconds", "millis", "micros", "nanos"],
    }  # fmt: skip
    table["as"] = draw(st.sampled_from(conversions[kind]))
    if table["as"] == "time" and draw(st.booleans()):
        table["zone"] = draw(st.sampled_from(["UTC", "Europe/Berlin"]))
    if table["as"] == "money":
        table["currency"] = draw(st.one_of(st.sampled_from(["EUR", "JPY", "KWD"]), places(in_element=in_element)))
        if draw(st.booleans()):
            table["scale"] = draw(st.integers(0, 4))
    if not must_read and kind in ("text", "int") and draw(st.booleans()):
        table["default"] = "d" if kind == "text" else 4
    return table


@st.composite
def sources(draw: st.DrawFn, kind: str, in_element: bool, must_read: bool) -> dict[str, Any]:
    """Where a table's value comes from."""
    ways = ["at", "at", "of", *(["join"] if kind == "text" else []), *([] if must_read or kind != "text" else ["is"])]
    way = draw(st.sampled_from(ways))
    if way == "is":
        return {"is": draw(WORDS)}
    if way == "at":
        place = places(in_element=in_element)
        return {"at": draw(st.one_of(place, st.lists(place, min_size=1, max_size=3)))}
    if way == "join":
        return {"join": draw(parts(in_element))}
    found: dict[str, Any] = {"of": draw(st.one_of(ROOTS, ITEMS) if in_element else ROOTS)}
    if draw(st.booleans()):
        found["where"] = draw(conditions(in_element=True))
    if draw(st.booleans()):
        found["largest"] = draw(ITEMS)
    if draw(st.booleans()):
        found["take"] = draw(places(in_element=True))
    return found


@st.composite
def parts(draw: st.DrawFn, in_element: bool) -> list[Any]:
    """A list of parts, one of which is read from the record."""
    others = draw(st.lists(st.one_of(WORDS, places(in_element=in_element)), max_size=2))
    return [draw(places(in_element=in_element)), *others]


def values(kind: str, in_element: bool, must_read: bool = False) -> st.SearchStrategy[Any]:
    """A value of a field, in any of its forms; `must_read` for those that may not stand in the file."""
    forms: list[st.SearchStrategy[Any]] = [places(in_element=in_element), tables(kind, in_element, must_read)]
    if kind == "text":
        forms.append(parts(in_element))
        if not must_read:
            forms.append(WORDS)
    return st.one_of(forms)


def mostly(usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nine times in ten the usual: an event with one odd field says more than one with many."""
    return st.integers(0, 9).flatmap(lambda number: other if number == 0 else usual)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """One `[[events]]`; the fields that are required are nearly always found."""
    to = draw(st.sampled_from(["purchases", "contacts", "responses"]))
    each = draw(st.one_of(st.none(), st.none(), st.just(""), ROOTS))
    inner = each is not None
    event: dict[str, Any] = {"to": to} if each is None else {"to": to, "each": each}
    if draw(st.integers(0, 3)) == 0:
        event["when"] = draw(conditions(in_element=inner))
    found = st.just("@key")
    event |= {
        "source": draw(mostly(WORDS, values("text", inner))),
        "id": draw(mostly(found, values("text", inner, True))),
        "type": draw(mostly(WORDS, values("text", inner))),
        "time": draw(mostly(st.just({"at": "@record/timestamp", "as": "millis"}), values("time", inner, True))),
        "customer_id": draw(mostly(found, st.one_of(values("text", inner, True), linked(inner)))),
    }
    of_topic: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "purchases": {"amount_minor": values("int", inner), "attributes": entries(["x", "y", "email"], inner)},
        "contacts": {
            "opted_out": st.one_of(st.booleans(), values("bool", inner)), "erased": values("bool", inner),
            "locale": values("text", inner), "attributes": entries(["x"], inner),
            "consents": entries(["feedback/email"], inner, closed=True),
        },
        "responses": {
            "score": values("int", inner), "comment": values("text", inner), "voided": values("bool", inner),
            "channel": values("text", inner),
        },
    }  # fmt: skip
    event |= draw(st.fixed_dictionaries({}, optional=of_topic[to]))
    for name in {"purchases": ["order_id"], "responses": ["survey_id"]}.get(to, []):
        event[name] = draw(mostly(found, values("text", inner, True)))
    return event


def linked(in_element: bool) -> st.SearchStrategy[dict[str, Any]]:
    """A customer who is found by a link."""
    kinds = st.sampled_from(["order", "case", "address"])
    return st.fixed_dictionaries({"link": kinds, "of": values("text", in_element, True)})


def entries(names: list[str], in_element: bool, closed: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """A map of a few entries; values of a `closed` one come from the record, where they may be anything."""
    inner = places(in_element=in_element) if closed else values("text", in_element)
    return st.dictionaries(st.sampled_from(names), inner, max_size=3)


MAPPINGS = st.fixed_dictionaries(
    {
        "name": st.just("law"), "topic": st.just("a.topic"), "otherwise": st.sampled_from(["bury", "ignore"]),
        "events": st.lists(events(), min_size=1, max_size=3),
    },
)  # fmt: skip
HEADERS = st.lists(
    st.tuples(st.sampled_from(["kind", "Kind", "other"]), st.sampled_from([b"x", b"7", b"", None, "é".encode()])),
    max_size=3,
)
RECORDS = st.builds(
    lambda value, key, headers: KafkaRecord(3, 1_769_860_800_000, key, value.encode(), headers),
    DOCUMENTS, st.sampled_from([*[b"C-1"] * 9, b" ", b"", None]), HEADERS,
)  # fmt: skip


def personal_of(mapping: dict[str, Any]) -> dict[str, Any]:
    """The mapping, with attributes whose names are personal allowed."""
    named = any("email" in event.get("attributes", {}) for event in mapping["events"])
    return {**mapping, "personal": ["email"]} if named else mapping


@settings(max_examples=examples(1_000))
@given(MAPPINGS.map(personal_of), RECORDS)
def test_the_compiled_mapping_is_the_plain_interpreter(mapping: dict[str, Any], record: KafkaRecord) -> None:
    """Events, reason and field are the same, for any mapping and any JSON."""
    text = toml_text(mapping)
    compiled = Mapper(read(text.encode(), "law.toml"), key=KEY, customer_of=customer_of)
    assert told(compiled.map(record)) == interpreted(tomllib.loads(text), record, KEY)


def told(mapped: Mapped) -> Outcome:
    """A mapper's result in the interpreter's terms."""
    made = [
        (
            topic.removeprefix("nps."),
            {name: dict(value) if hasattr(value, "items") else value for name, value in event._asdict().items()},
        )
        for topic, event in mapped.events
    ]
    return made, *((str(letter.reason), letter.field) if (letter := mapped.letter) else (None, None))


TOML_KEYS = st.sampled_from(["a", "b", "c-d", "é", "a.b", 'q"', "", "7"])
TOML = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TOML_KEYS, inner, max_size=3)),
    max_leaves=10,
)


@settings(max_examples=examples(1_000))
@given(
    st.lists(st.dictionaries(TOML_KEYS, TOML, max_size=4), min_size=1, max_size=4),
    st.sampled_from(["", "# [x]\n", "\r\n"]),
)
@example([{"a": {"b": ["#", "]", '"', "'"]}}], "")
def test_every_path_of_a_toml_text_has_its_line(tables_: list[dict[str, Any]], between: str) -> None:
    """The scanner finds the paths that `tomllib` reads, and the first key of a line on that line."""
    text = toml_text({"x": [1, {"y": 2}], "events": tables_}).replace("\n\n", f"\n{between}\n")
    lines = positions(text)
    assert set(lines) == set(paths(tomllib.loads(text)))
    numbered = text.replace("\r\n", "\n").split("\n")
    for path, line in lines.items():
        if len(path) == 3 and path[0] == "events":
            assert list(tomllib.loads(numbered[line - 1])) == [path[2]]


def test_a_file_may_end_without_a_line_end() -> None:
    """The last value reaches to the end."""
    for value in ("true", "1", '"x"', "[1]", "{ b = 1 }", "1 # said"):
        assert positions(f"a = {value}")["a",] == 1


def test_positions_of_every_form_of_toml() -> None:
    """Dotted keys, tables, texts of several lines and arrays over several lines."""
    text = FORMS
    lines = {".".join(map(str, path)): line for path, line in positions(text).items()}
    assert lines == {
        "a": 1, "a.b": 1, "a.b.c": 1, "d": 2, "e": 6, "e.0": 7, "e.1": 8, "e.1.f": 8, "g": 10, "g.h": 10, "g.h.i": 11,
        "j": 12, "j.0": 12, "j.0.k": 13, "j.0.k.l": 14, "j.1": 15, "j.1.m": 16, "j.1.n": 17,
    }  # fmt: skip


FORMS = '''a.b.c = 1 # [no]
d = """
[no]
= "x" \\"""
"""""
e = [
  "]", # ,
  { f = ']' },
]
[g.h]
i = 1979-05-27T07:32:00Z
[[j]]
[j.k]
l = \'\'\'#\'\'\'
[[j]]
m = 1
n = "\\""
'''


def paths(value: Any, path: TomlPath = ()) -> list[TomlPath]:
    """Every path inside a value."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [found for key, part in inner for found in [(*path, key), *paths(part, (*path, key))]]
