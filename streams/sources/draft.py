"""Draft of a mapping file from a sample record, with its candidates for time, ids, money and customer in comments.

A draft compiles.  Whether it is right a person must say: a line marked TODO names what was guessed, and from what.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.event_json import TOPICS
from streams.sources import conversions
from streams.sources.conversions import JsonNumber
from streams.sources.documents import DocumentDecoder, Unreadable
from streams.sources.fields import PERSONAL_WORDS
from streams.sources.language import SourceMapping
from streams.sources.samples import BadSample, Sample
from streams.sources.shapes import Shape

MOST_PLACES = 2_000
MOST_CANDIDATES = 4
MOST_ATTRIBUTES = 5

_TYPES = {"purchases": "order.delivered", "support": "case.solved", "responses": "survey.answered"}
_OWN_ID = {"purchases": "order_id", "support": "case_id", "responses": "survey_id"}
_HINTS = {
    "purchases": r"order|purchase|cart|invoice|charge|subscription|shipment|product",
    "support": r"ticket|case|conversation|issue|incident|requester",
    "responses": r"survey|nps|score|answer|rating|questionnaire|form_response",
}
_CUSTOMER = r"customer|user|contact|client|requester|buyer|person|member|account|reporter"
_ATTRIBUTES = r"country|category|channel|priority|plan|region|brand|segment|tier|status"
_EPOCHS = {"seconds": 10**9, "millis": 10**12, "micros": 10**15, "nanos": 10**18}


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A scalar of the sample: its pointer, its last keys in words, and its value."""

    place: str
    words: str
    value: Any


def draft_of(name: str, sample: Sample, types: Sequence[str] = ()) -> str:
    """Write the draft of a mapping file for records like this one.

    `types` are the program's event types.  Raises BadSample for a record that cannot be read.
    """
    form, envelope, root = _read(sample)
    leaves = list(_leaves(root))
    to = _topic(leaves)
    wanted = _TYPES[to]
    lines = [
        f"# Draft for records like {sample.name}.  Check each line; those marked TODO are guesses.  Then:",
        f"#     nps sources test {name}.toml {sample.name}",
        f"name = {_quoted(re.sub(r'[^a-z0-9-]+', '-', name.lower()).strip('-')[:64] or 'source')}",
        f"topic = {_quoted(f'{name}.events')}  # TODO: the Kafka topic that is read",
        f"format = {_quoted(form)}",
        *([f"envelope = {_quoted(envelope)}"] if envelope else []),
        'otherwise = "bury"  # records that no event matches are dead letters; "ignore" only counts them',
        "",
        "[[events]]",
        f"to = {_quoted(to)}  # TODO: or another of {', '.join(TOPICS)}",
        *_when(leaves),
        f"source = {_quoted(name)}  # with the id it tells events apart: a shop's own ids need the shop's name here",
        *_place_lines("id", _ids(leaves, to), "what happened to which thing: the same however often it is delivered"),
        f"type = {_quoted(wanted if not types or wanted in types else types[0])}  # TODO: an event type of the program",
        *_time_lines(leaves),
        *_customer_lines(leaves),
        *_place_lines(_OWN_ID[to], _own_ids(leaves, to), "of the thing itself"),
        *(_money_lines(leaves) if to == "purchases" else []),
        *(_answer_lines(leaves) if to == "responses" else []),
        *(_attribute_lines(leaves) if to != "responses" else []),
    ]
    return "\n".join(lines) + "\n"


def _read(sample: Sample) -> tuple[str, str | None, Any]:
    """Format, envelope and document of a sample."""
    value = sample.record.value
    if value is None:
        raise BadSample(f"{sample.name}: a record without a value says nothing")
    form = (
        "csv"
        if sample.name.endswith(".csv")
        else "json"
        if value.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
        else "form"
    )
    envelope = None
    if form == "json":
        try:
            envelope = _envelope(msgspec.json.decode(value.removeprefix(b"\xef\xbb\xbf")), sample)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadSample(f"{sample.name}: not JSON") from None
    whole = Shape()
    whole.add(())
    mapping = SourceMapping(sample.name, "", "draft", "draft", (), format=form, envelope=envelope)
    try:
        return form, envelope, DocumentDecoder(mapping, whole, None).documents(sample.record)[0].root
    except (Unreadable, IndexError) as error:
        raise BadSample(f"{sample.name}: {error or 'no rows'}") from None


def _envelope(root: Any, sample: Sample) -> str | None:
    headers = {name.lower() for name, _ in sample.record.headers}
    if "ce_specversion" in headers or (isinstance(root, dict) and "specversion" in root):
        return "cloudevents"
    payload = root.get("payload", root) if isinstance(root, dict) else None
    is_change = (
        isinstance(payload, dict) and isinstance(payload.get("op"), str) and {"before", "after"} & payload.keys()
    )
    return "debezium" if is_change else None


def _leaves(root: Any) -> Iterator[_Leaf]:
    """Scalars of a document, breadth first, of arrays only the first element."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), root)]
    for path, value in waiting:
        if len(waiting) > MOST_PLACES:
            return
        if isinstance(value, dict):
            waiting += [((*path, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, "0"), inner) for inner in value[:1]]
        elif path and value not in (None, "") and len(path) <= 60:
            pointer = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)
            keys = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower() for key in path if not key.isdigit()]
            yield _Leaf(pointer, "/".join(keys[-2:]), value)


def _topic(leaves: Sequence[_Leaf]) -> str:
    """The topic whose words the sample has most of."""
    text = " ".join(leaf.place.lower() for leaf in leaves)
    counts = {topic: len(re.findall(hint, text)) for topic, hint in _HINTS.items()}
    return max(counts, key=lambda topic: counts[topic]) if any(counts.values()) else "purchases"


def _when(leaves: Sequence[_Leaf]) -> list[str]:
    """A condition in a comment, on what looks like a kind or a status."""
    kinds = _matching(
        leaves,
        r"(^|/)(event_?type|event|type|status|topic|action|op)$",
        lambda value: type(value) is str and len(value) < 60,
    )
    if not kinds:
        return ['# when = { "/status" = "done" }  # without it every record is such an event']
    listed = ", ".join(f"{_quoted(leaf.place)} = {_quoted(leaf.value)}" for leaf in kinds[:2])
    return [f"# when = {{ {listed} }}  # TODO: without it every record is such an event"]


def _ids(leaves: Sequence[_Leaf], to: str) -> list[_Leaf]:
    found = _matching(leaves, r"(^|/)(event_?id|message_?id|notification_?id|id|uuid|token|key|number)$", _is_name)
    return sorted(found, key=lambda leaf: (leaf.place.count("/"), bool(re.search(_CUSTOMER, leaf.words))))


def _own_ids(leaves: Sequence[_Leaf], to: str) -> list[_Leaf]:
    words = {"purchases": "order", "support": "ticket|case|conversation|issue", "responses": "survey"}[to]
    named = _matching(leaves, rf"({words})[/_]?(id|number|key)$", _is_name)
    return named or [leaf for leaf in _ids(leaves, to) if not re.search(_CUSTOMER, leaf.words)]


def _customer_lines(leaves: Sequence[_Leaf]) -> list[str]:
    ids = _matching(
        leaves, rf"({_CUSTOMER})[^/]*(/|_)?(id|key|number|ref|external_id)$|^({_CUSTOMER})_?(id|ref)?$", _is_name
    )
    ids.sort(key=lambda leaf: (bool(re.search("account|member", leaf.words)), "external" not in leaf.words))
    if ids:
        return _place_lines("customer_id", ids, "the same in every system that is read")
    mails = _matching(leaves, r"mail", lambda value: type(value) is str and "@" in value)
    if mails:
        table = f'{{ at = {_quoted(mails[0].place)}, as = "pseudonym" }}'
        return [f"# TODO: only an e-mail address was found: customer_id = {table}", 'customer_id = "/customer/id"']
    return _place_lines("customer_id", [], "the same in every system that is read")


def _time_lines(leaves: Sequence[_Leaf]) -> list[str]:
    """A line for the time, with the conversion that its form needs."""
    found = [(leaf, table) for leaf in leaves if (table := _time_table(leaf)) is not None]
    found.sort(
        key=lambda one: (
            not re.search(r"occur|time|date|_at$|_on$|created|updated|submitted", one[0].words),
            one[0].place.count("/"),
        )
    )
    if not found:
        return ['time = { at = "@record/timestamp", as = "millis" }  # TODO: no time was found in the sample']
    others = ", ".join(leaf.place for leaf, _ in found[1:MOST_CANDIDATES])
    return [f"time = {found[0][1]}  # TODO: when it happened{f'; or {_comment(others)}' if others else ''}"]


def _time_table(leaf: _Leaf) -> str | None:
    """The expression that reads a time; None for what is none."""
    place = _quoted(leaf.place)
    if type(leaf.value) is str:
        try:
            conversions.iso_time(leaf.value, None)
        except ValueError as error:
            return f'{{ at = {place}, as = "time", zone = "UTC" }}' if "no zone" in str(error) else None
        return place
    if type(leaf.value) is not int:
        return None
    unit = next((unit for unit, low in _EPOCHS.items() if low <= leaf.value < 4 * low), None)
    return None if unit is None else f'{{ at = {place}, as = "{unit}" }}'


def _money_lines(leaves: Sequence[_Leaf]) -> list[str]:
    currencies = _matching(
        leaves, r"currency", lambda value: type(value) is str and value.upper() in conversions.DECIMALS
    )
    amounts = _matching(leaves, r"(total|amount|price|sum|value)", _is_amount)
    amounts.sort(key=lambda leaf: (not re.search("total|amount", leaf.words), leaf.place.count("/")))
    if not amounts or not currencies:
        return ['# amount_minor = { at = "/total", as = "money", currency = "/currency" }', '# currency = "/currency"']
    currency = _quoted(currencies[0].place)
    others = ", ".join(leaf.place for leaf in amounts[1:MOST_CANDIDATES])
    return [
        f'amount_minor = {{ at = {_quoted(amounts[0].place)}, as = "money", currency = {currency} }}'
        f"  # TODO: in whole units, as 12.50{f'; or {_comment(others)}' if others else ''}",
        f'currency = {{ at = {currency}, as = "upper" }}',
    ]


def _answer_lines(leaves: Sequence[_Leaf]) -> list[str]:
    scores = _matching(leaves, r"score|rating|nps|number", lambda value: type(value) is int and 0 <= value <= 10)
    comments = _matching(leaves, r"comment|text|feedback|reason", lambda value: type(value) is str)
    return [
        *_place_lines("score", scores, "0 to 10", is_required=False),
        *([f'comment = {{ at = {_quoted(comments[0].place)}, as = "plain" }}  # TODO'] if comments else []),
    ]  # fmt: skip


def _attribute_lines(leaves: Sequence[_Leaf]) -> list[str]:
    """Attributes of few values, which make segments; nothing personal."""
    found: dict[str, str] = {}
    for leaf in _matching(
        leaves, _ATTRIBUTES, lambda value: type(value) is str and len(value) <= 40 and "@" not in value
    ):
        word = leaf.words.rpartition("/")[2]
        if word.rpartition("_")[2] not in PERSONAL_WORDS and re.fullmatch(r"[a-z0-9_]+", word):
            found.setdefault(word, leaf.place)
    if not found:
        return ["# [events.attributes]", '# country = "/country"  # few-valued, never personal: they become segments']
    lines = [f"{word} = {_quoted(place)}" for word, place in list(found.items())[:MOST_ATTRIBUTES]]
    return ["[events.attributes]  # TODO: few-valued, never personal: they become segments", *lines]


def _place_lines(field: str, found: Sequence[_Leaf], meaning: str, *, is_required: bool = True) -> list[str]:
    """A line for a field at its best candidate, with the others in a comment."""
    if not found:
        line = f'{field} = "/{field}"  # TODO: {meaning}; nothing like it was found in the sample'
        return [line if is_required else f"# {line}"]
    others = ", ".join(leaf.place for leaf in found[1:MOST_CANDIDATES])
    return [f"{field} = {_quoted(found[0].place)}  # TODO: {meaning}{f'; or {_comment(others)}' if others else ''}"]


def _matching(leaves: Sequence[_Leaf], words: str, fits: Callable[[Any], bool]) -> list[_Leaf]:
    return [leaf for leaf in leaves if re.search(words, leaf.words) and fits(leaf.value)]


def _is_name(value: Any) -> bool:
    """True for what may be an id."""
    return type(value) is int or (type(value) is str and 0 < len(value) <= 128 and "@" not in value)


def _is_amount(value: Any) -> bool:
    """True for a number in whole units, as a number or text."""
    return type(value) in (int, JsonNumber) or (
        type(value) is str and bool(re.fullmatch(r"-?\d{1,12}(\.\d{1,4})?", value))
    )


def _comment(text: str) -> str:
    """Text that fits a comment of one line."""
    return json.dumps(text)[1:-1]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
