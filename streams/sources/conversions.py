"""Conversions of foreign values: the closed list that `as` names, each from a value as decoded to one of ours.

Values are text, `JsonNumber` and `int` of JSON, `bool`, and of Avro also `float`, `Decimal` and `bytes`.  Nothing is
guessed and nothing rounded: what does not fit raises ValueError, whose message never holds the value.  The work is
linear in the length of the value, and the lengths of numbers and times are bounded.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Context, Decimal
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from iso4217 import Currency

Convert: TypeAlias = Callable[[Any], Any]

TEXTS = ("text", "plain", "lower", "upper", "digest", "pseudonym")
"""Conversions that make text."""

TIMES = ("time", "rfc2822", "seconds", "millis", "micros", "nanos")
"""Conversions that make an instant in milliseconds UTC."""

NUMBERS = ("int", "money")
"""Conversions that make a whole number."""

TRUTHS = ("bool",)
"""Conversions that make true or false."""

CONVERSIONS = (*TEXTS, *NUMBERS, *TRUTHS, *TIMES)

DECIMALS: dict[str, int] = {
    currency.code: currency.exponent for currency in Currency if currency.exponent is not None
}  # fmt: skip
"""Digits behind the point of each currency's minor unit, by ISO 4217 code."""

LONGEST_NUMBER = 64
"""The most characters of a number or a time."""

_DIGITS_BEFORE_POINT = 20
_SURELY_SMALL = 14
_LONG = 1 << 63
_EXACT = Context(prec=LONGEST_NUMBER + 40)
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?(?: ?(?:([Zz])|([+-])(\d\d)(?::?([0-5]\d))?))?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_PER_MS = {"seconds": 3, "millis": 0, "micros": -3, "nanos": -6}
_WORDS = {"true": True, "1": True, "false": False, "0": False}
_DIGEST_DIGITS = 32


class JsonNumber(str):
    """A JSON number with a point or an exponent, digit for digit as it was written."""

    __slots__ = ()


def text_of(value: Any) -> str:
    """Write a value as text: numbers digit for digit, `true` and `false`.  Raises ValueError for objects and bytes."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    if kind is JsonNumber:
        return str.__str__(value)
    if kind is Decimal:
        return f"{value:f}"
    if kind is float:
        return repr(value)
    raise ValueError(f"{_noun(value)} where text is expected")


def number_of(value: Any) -> Decimal:
    """Read a number, or text that is one, exactly.  Raises ValueError."""
    kind = type(value)
    if kind is int:
        if abs(value) >= 10**40:
            raise ValueError("the number is too large")
        return Decimal(value)
    if kind is bool:
        raise ValueError("not a number")
    text = value if kind is str else str(value) if kind is Decimal else text_of(value)
    if len(text) > LONGEST_NUMBER or not _NUMBER.fullmatch(text := text.strip()):
        raise ValueError("not a number")
    return _EXACT.create_decimal(text)


def whole(value: Any) -> int:
    """Read a whole number; zeros behind the point are nothing.  Raises ValueError."""
    number: int = value if type(value) is int else _whole(number_of(value))
    if not -_LONG <= number < _LONG:
        raise ValueError("the number is too large")
    return number


def truth(value: Any) -> bool:
    """Read true or false, also as text in any case or as 1 and 0.  Raises ValueError."""
    if type(value) is bool:
        return value
    answer = _WORDS.get(text_of(value).strip().lower())
    if answer is None:
        raise ValueError("neither true nor false; `map` says which words mean what")
    return answer


def minor_units(value: Any, currency: Any, scale: int | None) -> int:
    """Convert an amount to minor units of a currency, 12.5 of EUR to 1250.  Raises ValueError for surplus decimals.

    With `scale` the value is a whole number, or the base64 or bytes of its two's complement, of so many decimals.
    """
    decimals = DECIMALS.get(text_of(currency).upper())
    if decimals is None:
        raise ValueError("no currency of ISO 4217")
    if scale is None and type(value) is str and (usual := _usual_amount(value, decimals)) is not None:
        return usual
    amount = number_of(value) if scale is None else _unscaled(value).scaleb(-scale, _EXACT)
    if amount and amount.adjusted() > _DIGITS_BEFORE_POINT:
        raise ValueError("the amount is too large")
    try:
        return whole(_whole(amount.scaleb(decimals, _EXACT)))
    except ValueError as error:
        raise ValueError(f"{error}; the currency has {decimals} decimals") from None


def iso_time(value: Any, zone: ZoneInfo | None) -> int:
    """Read an ISO 8601 date or time; `zone` is that of times that name none.  Raises ValueError."""
    text = value if type(value) is str else ""
    found = _ISO.fullmatch(text.strip()) if len(text) <= LONGEST_NUMBER else None
    if found is None:
        raise ValueError("not an ISO 8601 time; numbers need seconds, millis, micros or nanos")
    date, clock, fraction, utc, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock or '00:00'}")
    except ValueError:
        raise ValueError("not a time that there is") from None
    below_ms = int((fraction or "0").ljust(3, "0")[:3])
    if utc is None and sign is None:
        return _zoned(moment, zone) + below_ms
    offset_minutes = 0 if utc else int(hours) * 60 + int(minutes or 0)
    if offset_minutes >= 24 * 60:
        raise ValueError("the offset from UTC is 24 hours or more")
    since = moment - _EPOCH
    at_ms = since.days * 86_400_000 + since.seconds * 1_000 + below_ms
    return at_ms + offset_minutes * 60_000 if sign == "-" else at_ms - offset_minutes * 60_000


def formatted_time(value: Any, form: str, zone: ZoneInfo | None) -> int:
    """Read a time in the format of `strptime`.  Raises ValueError."""
    text = text_of(value).strip()
    if len(text) > LONGEST_NUMBER:
        raise ValueError("not a time of the format")
    try:
        moment = datetime.strptime(text, form)
    except ValueError:
        raise ValueError("not a time of the format") from None
    return _zoned(moment, zone)


def mail_time(value: Any) -> int:
    """Read a time as mails have it (RFC 2822).  Raises ValueError."""
    text = text_of(value)
    try:
        moment = parsedate_to_datetime(text) if len(text) <= LONGEST_NUMBER else None
    except (ValueError, TypeError, IndexError, OverflowError):
        moment = None
    if moment is None:
        raise ValueError("not a time of RFC 2822")
    return _zoned(moment, ZoneInfo("UTC"))  # -0000 is UTC, told from nowhere


def epoch_time(value: Any, unit: str) -> int:
    """Convert a number of seconds, millis, micros or nanos since 1970 to milliseconds, rounded down.

    Raises ValueError.
    """
    if unit == "millis" and type(value) is int and -_LONG <= value < _LONG:
        return value
    number = number_of(value)
    if number and number.adjusted() > _DIGITS_BEFORE_POINT:
        raise ValueError("the number is too large")
    return int(number.scaleb(_PER_MS[unit], _EXACT).to_integral_value(ROUND_FLOOR, _EXACT))


def digest(value: Any) -> str:
    """First 32 hex digits of a text's SHA-256."""
    return hashlib.sha256(text_of(value).encode()).hexdigest()[:_DIGEST_DIGITS]


def pseudonym(value: Any, key: bytes) -> str:
    """Name that stands for a text in any case: `p-` and 32 hex digits of its HMAC-SHA256 under a key."""
    plain_text = text_of(value).strip().lower()
    return f"p-{hmac.new(key, plain_text.encode(), 'sha256').hexdigest()[:_DIGEST_DIGITS]}"


_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "footer", "form", "h1", "h2", "h3",
    "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul",
})  # fmt: skip
_UNSEEN = frozenset({"script", "style", "head", "title", "template"})
_BLANKS = re.compile(r"[ \t\r\f\v]+")
_TAG = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]{0,31})")


def plain(value: Any) -> str:
    """Turn HTML into text: tags and scripts go, entities become characters, blocks end lines.

    A tag ends at the first `>`; a `<` that begins no tag stays.
    """
    text = text_of(value)
    if "<" not in text and "&" not in text:
        return text.strip()
    words = unescape("".join(_without_tags(text)))
    lines = (_BLANKS.sub(" ", line).strip(" ") for line in words.split("\n"))
    return "\n".join(line for line in lines if line)


def _without_tags(text: str) -> list[str]:
    """Pieces of a text between tags, with a line end for each block; one pass from the beginning to the end."""
    pieces: list[str] = []
    at, unseen = 0, ""
    while (start := text.find("<", at)) >= 0:
        found = _TAG.match(text, start + 1)
        if found is None and not text.startswith("!", start + 1):
            pieces.append("" if unseen else text[at : start + 1])
            at = start + 1
            continue
        is_comment = text.startswith("!--", start + 1)
        end = text.find("-->" if is_comment else ">", start)
        if end < 0:
            break
        name = found[1].lower() if found else ""
        pieces.append("" if unseen else text[at:start])
        at = end + (3 if is_comment else 1)
        if name in _BLOCKS:
            pieces.append("\n")
        elif name in _UNSEEN:
            closes = text[start + 1] == "/"
            unseen = ("" if closes and name == unseen else unseen) or ("" if closes else name)
    return [*pieces, "" if unseen else text[at:]]


def _usual_amount(text: str, decimals: int) -> int | None:
    """Minor units of a short amount, digits with a point or without; None for any other text, which may be one."""
    before, point, behind = text.partition(".")
    if len(text) > _SURELY_SMALL or not text.isascii() or not before.isdigit() or len(behind) > decimals:
        return None
    return int(before + behind.ljust(decimals, "0")) if behind.isdigit() is bool(point) else None


def _whole(number: Decimal) -> int:
    if number and number.adjusted() > _DIGITS_BEFORE_POINT:
        raise ValueError("the number is too large")
    found = number.to_integral_value()
    if found != number:
        raise ValueError("more decimals than there may be")
    return int(found)


def _unscaled(value: Any) -> Decimal:
    """Read the whole number of an unscaled decimal, as Kafka Connect writes it."""
    if type(value) is int:
        return number_of(value)
    try:
        data = value if type(value) is bytes else base64.b64decode(text_of(value), validate=True)
    except ValueError:
        data = b""
    if not 0 < len(data) <= LONGEST_NUMBER // 4:
        raise ValueError("not the base64 of a decimal")
    return Decimal(int.from_bytes(data, "big", signed=True))


def _zoned(moment: datetime, zone: ZoneInfo | None) -> int:
    """Milliseconds UTC of a time; of an hour that comes twice the first."""
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError("the time has no zone; `zone` says which is meant")
        moment = moment.replace(tzinfo=zone)
    since = moment - _EPOCH_UTC
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000


def _noun(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    return "an array" if isinstance(value, list) else f"{type(value).__name__}"
