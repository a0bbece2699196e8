"""Mapping files are refused at the line of the fault: one key of a valid file is changed, in many ways."""

import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.sources.positions import TomlPath, line_of, positions
from streams.sources.reading import BadMapping, load, read
from tests.support.toml_text import toml_text

FILES = [
    *sorted((Path(__file__).parent / "sources").glob("*/*.toml")),
    Path(__file__).parents[2] / "deploy" / "sources" / "shopify.toml",
]
OF_FILE = {"name", "topic", "format", "envelope", "unwrap", "compressed", "otherwise"}
OF_EVENT = {"to", "when", "each", "source", "id", "type", "time", "customer_id", "order_id", "case_id", "survey_id"}
OF_LINK = {"link", "when", "each", "of", "customer_id"}
OPTIONAL = {"amount_minor", "currency", "attributes", "consents", "bounces", "score", "comment", "channel", "opted_out"}
OF_TABLE = {
    "at",
    "of",
    "where",
    "largest",
    "take",
    "join",
    "as",
    "zone",
    "format",
    "map",
    "else",
    "scale",
    "currency",
    "link",
}
WORDS = {"format", "envelope", "compressed", "otherwise", "to", "as", "zone", "link"}
PLACES = {
    "at",
    "of",
    "take",
    "largest",
    "unwrap",
    "each",
    "id",
    "time",
    "customer_id",
    "order_id",
    "case_id",
    "survey_id",
}
PER_FILE = 12

Change = tuple[str, TomlPath, TomlPath, dict[str, Any]]
"""What was done, the path that was changed, the path whose line must be named, and the changed file."""


def changes(raw: dict[str, Any]) -> Iterator[Change]:
    """Every change of one key that no file may have."""
    for path in keys(raw):
        key = path[-1]
        if not isinstance(key, str) or not is_ours(path):
            continue
        yield "misspelt", path, (*path[:-1], f"{key}x"), changed(raw, path, new_key=f"{key}x")
        yield "a number with a point", path, path, changed(raw, path, Decimal("1.5"))
        yield "a list in a list", path, path, changed(raw, path, [["x"]])
        value = at(raw, path)
        if key in WORDS and isinstance(value, str):
            yield "a misspelt word", path, path, changed(raw, path, f"{value}q")
        if key in PLACES and isinstance(value, str) and value.startswith("/"):
            yield "no pointer", path, path, changed(raw, path, value[1:])
        required = (OF_LINK if path[0] == "links" else OF_EVENT) - {"when", "each"}
        if key in ("name", "topic") or (len(path) == 3 and key in required):
            yield "missing", path, path[:-1], changed(raw, path, drop=True)


def is_ours(path: TomlPath) -> bool:
    """True for keys of the language, not for names and words that a file chooses itself."""
    if len(path) == 1:
        return path[0] in OF_FILE
    if path[0] not in ("events", "links") or any(name in path[2:-1] for name in ("when", "where", "map")):
        return False
    if len(path) == 3:
        return path[2] in (OF_LINK if path[0] == "links" else OF_EVENT | OPTIONAL)
    return path[-1] in OF_TABLE and path[-2] not in ("attributes", "consents", "bounces")


def keys(value: Any, path: TomlPath = ()) -> Iterator[TomlPath]:
    """Every path inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*path, key)
        yield from keys(part, (*path, key))


def at(raw: Any, path: TomlPath) -> Any:
    """The value at a path."""
    for key in path:
        raw = raw[key]
    return raw


def changed(
    raw: dict[str, Any], path: TomlPath, value: Any = None, *, new_key: str = "", drop: bool = False
) -> dict[str, Any]:
    """A copy with one key renamed in its place, dropped, or given another value."""
    copy = deepcopy(raw)
    table = at(copy, path[:-1])
    if new_key or drop:
        entries = [(key, part) for key, part in table.items() if not (drop and key == path[-1])]
        table.clear()
        table.update((new_key if key == path[-1] else key, part) for key, part in entries)
    else:
        table[path[-1]] = value
    return copy


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_one_changed_key_is_refused_at_its_line(file: Path) -> None:
    """Whatever the change, the error names the line of the key, or of the table that lacks it."""
    raw = tomllib.loads(file.read_text(), parse_float=Decimal)
    assert read(toml_text(raw).encode(), "same.toml").events == tuple(read(toml_text(raw).encode(), "x").events)
    every = list(changes(raw))
    for what, path, place, mapping in every[:: max(1, len(every) // PER_FILE)]:
        text = toml_text(mapping)
        with pytest.raises(BadMapping) as caught:
            read(text.encode(), "file.toml")
        found = re.match(r"file\.toml:(\d+): ", str(caught.value))
        assert found, (what, path, str(caught.value))
        assert int(found[1]) == line_of(positions(text), place), (what, path, str(caught.value))


def test_there_are_enough_changes() -> None:
    """At least two hundred are tried."""
    counts = [len(list(changes(tomllib.loads(file.read_text())))) for file in FILES]
    assert sum(min(count, PER_FILE) for count in counts) >= 200


NAME = 'name = "shop"'
GOOD = """name = "shop"
topic = "shop.orders"

[[events]]
to = "purchases"
when = { "/status" = "done" }
source = "shop"
id = "/id"
type = "order.delivered"
time = "/at"
customer_id = "/customer"
order_id = "/id"
amount_minor = { at = "/total", as = "money", currency = "EUR" }
[events.attributes]
country = "/country"
"""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "shop"', "name = shop", "1: not TOML: Invalid value"),
        ('name = "shop"', 'name = "Shop"', "1: name: must be a-z, 0-9 and -"),
        ('topic = "shop.orders"', 'topic = "nps.purchases"', "2: topic: nps.purchases is the pipeline's own"),
        ('topic = "shop.orders"', 'topics = "shop.orders"', "2: topics: there is no key 'topics' here, did you"),
        ('to = "purchases"', 'to = "purchase"', "5: events[0].to: 'purchase' is none of"),
        ('"/status" = "done"', '"status" = "done"', "6: purchases.when.status: must be a place"),
        ('"/status" = "done"', '"./status" = "done"', "6: purchases.when../status: './status' needs `each`"),
        ('"/status" = "done"', '"/status" = { isnt = 1 }', "6: purchases.when./status.isnt: there is no key 'isnt'"),
        ('\nid = "/id"', '\nid = "id"', "8: purchases.id: must come from a place in the record"),
        ('\nid = "/id"', '\nid = ["/id", "@record/offset"]', "8: purchases.id: @record/offset changes when"),
        ('\nid = "/id"', '\nid = "@heder/X"', "8: purchases.id: '@heder' is none of @header"),
        ('\nid = "/id"', '\nid = { at = "/id", default = "x" }', "8: purchases.id.default: an event without it"),
        ('\nid = "/id"', '\nid = "/a~b"', "8: purchases.id: ~ must be written ~0"),
        ('time = "/at"', "", "4: purchases: 'time' is missing"),
        ('time = "/at"', 'time = { at = "/at", as = "secnds" }', "10: purchases.time.as: 'secnds' is none of"),
        ('time = "/at"', 'time = { at = "/at", as = "text" }', "10: purchases.time.as: takes time, rfc2822, seconds"),
        ('time = "/at"', 'time = { at = "/at", zone = "Europe/Berln" }', "10: purchases.time.zone: 'Europe/Berln'"),
        ('time = "/at"', 'time = { at = "/at", format = "%H:%M" }', "10: purchases.time.format: the format tells"),
        ('time = "/at"', 'time = { at = "/at", format = "%d %d" }', "10: purchases.time.format: no format of"),
        ('time = "/at"', 'time = { at = "/at", format = "%Q" }', "10: purchases.time.format: no format of strptime"),
        (', currency = "EUR" }', " }", "13: purchases.amount_minor: money needs `currency`"),
        ('currency = "EUR"', 'currency = "EURO"', "13: purchases.amount_minor.currency: 'EURO' is no currency"),
        ('as = "money"', 'as = "mony"', "13: purchases.amount_minor.as: 'mony' is none of"),
        ("country =", "customer_email =", "15: purchases.attributes.customer_email: 'customer_email' is"),
        ("[events.attributes]", "[events.atributes]", "14: purchases.atributes: there is no key 'atributes'"),
        ('type = "order.delivered"', 'type = "order.delivred"', "9: purchases.type: 'order.delivred' is no event"),
        (NAME, f'{NAME}\nwebhook = {{ verify = "shopfy", secret = "S" }}', "2: webhook.verify: 'shopfy'"),
        (NAME, f'{NAME}\nwebhook = {{ verify = "shopify", secret = "p4ss" }}', "2: webhook.secret: must"),
        (NAME, f'{NAME}\npersonal = ["contry"]', "2: personal.0: no event has an attribute 'contry', did"),
        (NAME, f'{NAME}\nformat = "csv"\nenvelope = "debezium"', "3: envelope: does not go with format = 'csv'"),
        (NAME, f'{NAME}\nschema = "x.avsc"', '2: schema: goes with format = "avro" only'),
        ('"/customer"', '{ link = "ordr", of = "/id" }', "11: purchases.customer_id.link: 'ordr' is none of order"),
        ('"/customer"', '{ link = "order" }', "11: purchases.customer_id: 'of' is missing"),
        ('"/customer"', '{ link = "order", of = "id" }', "11: purchases.customer_id.of: must come from a place"),
        ('source = "shop"', 'source = { link = "order", of = "/id" }', "7: purchases.source.link: there is no key"),
        (NAME, f'{NAME}\nlinks = [{{ link = "order", of = "/id" }}]', "2: links.0: 'customer_id' is missing"),
        ('source = "shop"', 'source = "@envelope/source"', "7: purchases.source: there is no envelope: set `envelope`"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong_and_where(old: str, new: str, complaint: str) -> None:
    """File, line, field and fault, with the word that was probably meant."""
    assert GOOD.count(old) == 1, "the change is one"
    with pytest.raises(BadMapping) as caught:
        read(GOOD.replace(old, new).encode(), "shop.toml", types=["order.delivered"])
    assert str(caught.value).startswith(f"shop.toml:{complaint}")
    assert "\n" not in str(caught.value)


def test_a_schema_beside_the_file_is_read_with_it(tmp_path: Path) -> None:
    """A schema that is missing or none is a fault of the line that names it."""
    file = tmp_path / "shop.toml"
    file.write_text(GOOD.replace(NAME, f'{NAME}\nformat = "avro"\nschema = "shop.avsc"'))
    with pytest.raises(BadMapping, match=r"^shop.toml:3: schema: .*shop.avsc: cannot be read \(No such file"):
        load(file)
    (tmp_path / "shop.avsc").write_text('"string"')
    with pytest.raises(BadMapping, match=r"^shop.toml:3: schema: shop.avsc is no Avro record"):
        load(file)
    (tmp_path / "shop.avsc").write_text('{"type": "record", "name": "R", "fields": [{"name": "id", "type": "long"}]}')
    assert load(file).schema == (tmp_path / "shop.avsc").read_text()


def test_webhook_settings_are_read() -> None:
    """They are for the collector; a secret is named, never written."""
    mapping = read(f'webhook = {{ verify = "shopify", secret = "SHOP_SECRET" }}\n{GOOD}'.encode(), "shop.toml")
    assert mapping.webhook is not None
    assert (mapping.webhook.verify, mapping.webhook.secret) == ("shopify", "SHOP_SECRET")
