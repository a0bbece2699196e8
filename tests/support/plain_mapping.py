"""A plain interpreter of mapping files, for laws: it walks the TOML as it stands, value by value, and compiles nothing.

It shares no code with `streams.sources`.  It knows JSON alone, and no bounds: laws keep their records small.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from streams.kafka.ports import KafkaRecord

FIELDS = {
    "purchases": ["source", "id", "type", "time", "customer_id", "order_id", "amount_minor", "currency", "attributes"],
    "contacts": [
        "source", "id", "type", "time", "customer_id", "opted_out", "time_zone", "locale", "attributes", "consents",
        "bounces", "preferred_channel", "erased",
    ],
    "responses": [
        "source", "id", "type", "time", "customer_id", "survey_id", "score", "comment", "voided", "channel",
        "provisional",
    ],
}  # fmt: skip
KINDS = {
    "time": "time", "amount_minor": "int", "score": "int", "opted_out": "bool", "erased": "bool", "voided": "bool",
    "provisional": "bool",
}  # fmt: skip
REQUIRED = {"source", "id", "type", "time", "customer_id", "order_id", "survey_id"}
MAPS = {"attributes", "consents", "bounces"}
DECIMALS = {"EUR": 2, "JPY": 0, "KWD": 3}
"""The currencies that laws use."""


class Died(Exception):
    """What ends an event: the reason, and the field once it is known."""

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason, field)
        self.reason, self.field = reason, field


class Number(str):
    """A JSON number with a point or an exponent."""


class PlainRecord:
    """A record with its JSON read, and the element in hand."""

    def __init__(self, record: KafkaRecord) -> None:
        text = (record.value or b"").decode()
        self.root = json.loads(text, parse_float=Number)
        self.record = record
        self.element: Any = None


Outcome = tuple[list[tuple[str, dict[str, Any]]], str | None, str | None]
"""Events after their topics, the reason and the field of the letter."""


def interpreted(mapping: dict[str, Any], record: KafkaRecord, key: bytes) -> Outcome:
    """What a record becomes."""
    found: list[tuple[str, dict[str, Any]]] = []
    letters: list[Died] = []
    matches = 0
    for event in mapping["events"]:
        scope = PlainRecord(record)
        try:
            for _ in elements(event, scope):
                matches += 1
                try:
                    found.append((event["to"], built(event, scope, key, mapping.get("personal", []))))
                except Died as died:
                    letters.append(died)
        except Died as died:
            matches += 1
            letters.append(Died(died.reason, "each"))
    if not matches and mapping.get("otherwise", "bury") == "bury":
        letters.append(Died("no_mapping"))
    faults = [letter for letter in letters if letter.reason != "unknown_customer"]
    first = next(iter([*faults, *letters]), None)
    return found, *((first.reason, first.field) if first else (None, None))


def elements(event: dict[str, Any], scope: PlainRecord) -> Iterator[Any]:
    """The elements that an event is made of, None once for an event without `each`."""
    when = event.get("when", {})
    of_record = {place: wanted for place, wanted in when.items() if not reads_element(place, wanted)}
    if not all(holds(place, wanted, scope) for place, wanted in of_record.items()):
        return
    if "each" not in event:
        yield None
        return
    array = at(event["each"], scope)
    if array is not None and not isinstance(array, list):
        raise Died("bad_value")
    for element in array or []:
        scope.element = element
        if all(holds(place, wanted, scope) for place, wanted in when.items() if place not in of_record):
            yield element


def reads_element(place: str, wanted: Any) -> bool:
    """True for a condition on an element."""
    return place.startswith(".") or (isinstance(wanted, dict) and str(wanted.get("differs_from", "")).startswith("."))


def built(event: dict[str, Any], scope: PlainRecord, key: bytes, personal: list[str]) -> dict[str, Any]:
    """One event, by its fields in order."""
    made: dict[str, Any] = {}
    for name in FIELDS[event["to"]]:
        if name in MAPS:
            made[name] = {}
            for entry, raw in event.get(name, {}).items():
                found = value(raw, "text", scope, key, f"{name}.{entry}")
                if found is not None:
                    made[name][entry] = found
            continue
        kind = KINDS.get(name, "text")
        made[name] = value(event[name], kind, scope, key, name) if name in event else None
        if made[name] is None and name in REQUIRED:
            raise Died("missing_field", name)
        if made[name] is None and name in ("voided", "provisional", "erased"):
            made[name] = False
    object_to(made, personal)
    return made


def object_to(made: dict[str, Any], personal: list[str]) -> None:
    """What no journey would take."""
    for name in ("customer_id", "source", "id"):
        if made[name].isspace():
            raise Died("invalid_event", name)
    if not datetime_ms("2000-01-01T00:00:00+00:00") <= made["time"] < datetime_ms("2100-01-01T00:00:00+00:00"):
        raise Died("absurd_time", "time")
    if made.get("score") is not None and made["score"] not in range(11):
        raise Died("invalid_score", "score")
    if "score" in made and made["score"] is None and made["comment"] is None and not made["voided"]:
        raise Died("empty_response", "score")
    if any(word not in ("granted", "withdrawn") for word in made.get("consents", {}).values()):
        raise Died("invalid_contact", "consents")
    for name, text in made.get("attributes", {}).items():
        if "@" in text and name not in personal:
            raise Died("personal_data", f"attributes.{name}")


def value(raw: Any, kind: str, scope: PlainRecord, key: bytes, field: str) -> Any:
    """The value of a field; Died names the field."""
    try:
        return evaluated(raw, kind, scope, key)
    except Died as died:
        raise Died(died.reason, field) from None
    except (ValueError, InvalidOperation, OverflowError):
        raise Died("bad_value", field) from None


def evaluated(raw: Any, kind: str, scope: PlainRecord, key: bytes) -> Any:
    """A value: text, a place, parts or a table."""
    if isinstance(raw, list):
        raw = {"join": raw}
    if isinstance(raw, str) and is_place(raw):
        raw = {"at": raw}
    if not isinstance(raw, dict):
        raw = {"is": raw}
    found = source(raw, scope, key)
    if found is not None and "after" in raw:
        text = as_text(found)
        found = text.split(raw["after"])[-1] if raw["after"] in text else None
        found = found or None
    if found is not None and "map" in raw:
        word = as_text(found)
        if word not in raw["map"] and "else" not in raw:
            raise Died("unmapped_value")
        found = raw["map"].get(word, raw.get("else"))
    if found is not None:
        found = converted(found, raw, kind, scope, key)
    return raw.get("default") if found in (None, "") and found is not False else found


def source(raw: dict[str, Any], scope: PlainRecord, key: bytes) -> Any:
    """What a table's at, of, join or is finds; None for nothing."""
    if "is" in raw:
        return raw["is"]
    if "link" in raw:
        text = evaluated(raw["of"], "text", scope, key)
        return None if text is None else linked(raw["link"], text, key)
    if "join" in raw:
        parts = [evaluated(part, "text", scope, key) for part in raw["join"]]
        return None if None in parts else "".join(parts)
    if "at" in raw:
        places = raw["at"] if isinstance(raw["at"], list) else [raw["at"]]
        return next((found for found in (at(place, scope) for place in places) if found is not None), None)
    array = at(raw["of"], scope)
    if array is None:
        return None
    if not isinstance(array, list):
        raise Died("bad_value")
    fitting = [element for element in array if fits(raw.get("where", {}), element, scope)]
    if "largest" in raw:
        every = [(size(raw["largest"], element, scope), element) for element in fitting]
        sized = [(number, element) for number, element in every if number is not None]
        most = max((number for number, _ in sized), default=None)
        fitting = [element for number, element in sized if number == most]
    return inside(fitting[0], raw.get("take", "."), scope) if fitting else None


def linked(kind: str, text: str, key: bytes) -> str:
    """The customer of an order, case or address; half of them are known."""
    if kind == "address":
        found = hmac.new(key, b"link\0" + text.strip().lower().encode(), hashlib.sha256).hexdigest()
    else:
        found = hashlib.sha256(kind.encode() + b"\0" + text.encode()).hexdigest()
    if (customer := customer_of(found)) is None:
        raise Died("unknown_customer")
    return customer


def customer_of(link: str) -> str | None:
    """Whose link a key is, for laws: half of the keys are known, each to a customer of its own."""
    return f"C-{link[:6]}" if link[0] in "01234567" else None


def fits(where: dict[str, Any], element: Any, scope: PlainRecord) -> bool:
    """True for an element that meets all of `where`."""
    before, scope.element = scope.element, element
    try:
        return all(holds(place, wanted, scope) for place, wanted in where.items())
    finally:
        scope.element = before


def inside(element: Any, place: str, scope: PlainRecord) -> Any:
    """The value at a place, with this element in hand."""
    before, scope.element = scope.element, element
    try:
        return at(place, scope)
    finally:
        scope.element = before


def size(place: str, element: Any, scope: PlainRecord) -> Fraction | None:
    """The number at a place; None for none."""
    try:
        return as_number(inside(element, place, scope))
    except ValueError:
        return None


def is_place(text: str) -> bool:
    """True for text that is a pointer."""
    return text == "." or text[:1] in ("/", "@") or text[:2] == "./"


def at(place: str, scope: PlainRecord) -> Any:
    """The value at a place; None for null, empty text, Debezium's placeholder and nothing."""
    found: Any
    if place.startswith("@header/"):
        values = [text for name, text in scope.record.headers if name.lower() == place[8:].lower()]
        found = values[-1].decode() if values and values[-1] else None
    elif place == "@key":
        found = scope.record.key.decode() if scope.record.key else None
    elif place == "@record/timestamp":
        found = scope.record.timestamp
    else:
        found = scope.element if place.startswith(".") else scope.root
        for token in place.lstrip(".").split("/")[1:]:
            token = token.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(token)
            elif isinstance(found, list) and token in [str(number) for number in range(len(found))]:
                found = found[int(token)]
            else:
                return None
    return None if found in ("", "__debezium_unavailable_value") else found


def holds(place: str, wanted: Any, scope: PlainRecord) -> bool:
    """True when a condition is met."""
    found = at(place, scope)
    if not isinstance(wanted, dict):
        return word(found) in words(wanted)
    checks: dict[str, Callable[[], bool]] = {
        "not": lambda: word(found) not in words(wanted["not"]),
        "exists": lambda: (found is not None) == wanted["exists"],
        "at_least": lambda: is_at_least(found, wanted["at_least"]),
        "starts": lambda: any((word(found) or "").startswith(start) for start in words(wanted["starts"])),
        "differs_from": lambda: differ(found, at(wanted["differs_from"], scope)),
    }
    return all(checks[name]() for name in wanted)


def words(wanted: Any) -> list[str]:
    """The texts of one value or a list of them."""
    return [as_text(one) for one in (wanted if isinstance(wanted, list) else [wanted])]


def word(found: Any) -> str | None:
    """The text of a value; None for what has none."""
    return None if found is None or isinstance(found, dict | list) else as_text(found)


def differ(one: Any, other: Any) -> bool:
    """True when two values are not the same."""
    if isinstance(one, dict | list) or isinstance(other, dict | list):
        return bool(one != other)
    return word(one) != word(other)


def is_at_least(found: Any, least: Any) -> bool:
    """True for a number that is large enough."""
    try:
        return as_number(found) >= Fraction(least)
    except ValueError:
        return False


def as_text(found: Any) -> str:
    """Text of a scalar."""
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, str | int):
        return str(found)
    raise ValueError("no text")


def as_number(found: Any) -> Fraction:
    """A number, exactly; of text that is one too."""
    if found is None or isinstance(found, bool | dict | list):
        raise ValueError("no number")
    text = str(found).strip()
    mantissa = text.lower().partition("e")[0]
    plain = mantissa.removeprefix("-").replace(".", "", 1)
    if not (plain.isdigit() and plain.isascii()) or mantissa.endswith(".") or mantissa.removeprefix("-")[0] == ".":
        raise ValueError("no number")
    return Fraction(Decimal(text))


def as_whole(number: Fraction) -> int:
    """A whole number that a long can hold."""
    if number.denominator != 1 or not -(2**63) <= number < 2**63:
        raise ValueError("not whole")
    return int(number)


def converted(found: Any, raw: dict[str, Any], kind: str, scope: PlainRecord, key: bytes) -> Any:
    """A value as its field takes it."""
    to = raw.get("as", kind)
    if to == "int":
        return as_whole(as_number(found))
    if to == "bool":
        truth = {"true": True, "1": True, "false": False, "0": False}.get(as_text(found).strip().lower())
        if truth is None:
            raise ValueError("neither true nor false")
        return truth
    if to == "money":
        return amount(found, raw, scope, key)
    if to in ("seconds", "millis", "micros", "nanos"):
        per_second = {"seconds": 1, "millis": 10**3, "micros": 10**6, "nanos": 10**9}[to]
        return as_number(found) * 1000 // per_second
    if to == "time":
        return datetime_ms(found, raw.get("zone"))
    text = as_text(found)
    if to == "digest":
        return hashlib.sha256(text.encode()).hexdigest()[:32]
    if to == "pseudonym":
        return "p-" + hmac.new(key, text.strip().lower().encode(), hashlib.sha256).hexdigest()[:32]
    return {"text": text, "lower": text.lower(), "upper": text.upper()}[to]


def amount(found: Any, raw: dict[str, Any], scope: PlainRecord, key: bytes) -> int:
    """Minor units of an amount."""
    currency = evaluated(raw["currency"], "text", scope, key)
    if currency is None or currency.upper() not in DECIMALS:
        raise ValueError("no currency")
    if "scale" not in raw:
        number = as_number(found)
    elif isinstance(found, int) and not isinstance(found, bool):
        number = Fraction(found, 10 ** raw["scale"])
    else:
        data = base64.b64decode(as_text(found), validate=True)
        if not 0 < len(data) <= 16:
            raise ValueError("no decimal")
        number = Fraction(int.from_bytes(data, "big", signed=True), 10 ** raw["scale"])
    return as_whole(number * 10 ** DECIMALS[currency.upper()])


def datetime_ms(found: Any, zone: str | None = None) -> int:
    """Milliseconds of an ISO time; of an hour that comes twice the first is meant."""
    if type(found) is not str:
        raise ValueError("no time")
    text = found.strip().replace(" +", "+").upper()
    if len(text) < 10 or text[4:5] != "-" or text[7:8] != "-" or len(text) in range(11, 16):
        raise ValueError("no ISO time")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError("no zone")
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return (moment - datetime.fromisoformat("1970-01-01T00:00:00+00:00")) // timedelta(milliseconds=1)
