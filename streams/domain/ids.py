"""Ids derived from their cause, so that a replay makes the same ones.

The customer is part of each, for two sources may give two customers' events one id: alerts and confirmations have it
through the id of their survey.
"""

from hashlib import blake2b, sha1
from struct import Struct
from uuid import UUID

_SURVEYS = UUID("6f1d3c52-1f3a-5f0e-9d4e-6e7073737276").bytes
_DECISIONS = UUID("6f1d3c52-1f3a-5f0e-9d4e-6e7073646563").bytes
_ALERTS = UUID("6f1d3c52-1f3a-5f0e-9d4e-6e7073616c72").bytes
_CONFIRMATIONS = UUID("6f1d3c52-1f3a-5f0e-9d4e-6e7073636c69").bytes
_ERASURES = UUID("6f1d3c52-1f3a-5f0e-9d4e-6e7073657261").bytes
_signed = Struct(">q").unpack
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
"""A hexadecimal digit with its two upper bits set to 10."""


def survey_id(customer_id: str, source: str, id_: str, rule: str) -> str:
    """Id of the survey that this rule asks of this customer after this trigger."""
    return uuid5(_SURVEYS, _joined(rule, customer_id, source, id_))


def decision_id(customer_id: str, source: str, id_: str) -> str:
    """Id of the one decision about this customer's trigger."""
    return uuid5(_DECISIONS, _joined(customer_id, source, id_))


def alert_id(survey: str, revision: int) -> str:
    """Id of the alert about this revision of a survey's answer."""
    return uuid5(_ALERTS, _joined(survey, str(revision)))


def confirmation_id(survey: str, time_ms: int, score: int) -> str:
    """Id of the answer that a click on this survey's link becomes, however often and by whomever it is confirmed."""
    return uuid5(_CONFIRMATIONS, f"{time_ms}:{score}:{survey}")


def erasure_id(customer_id: str, source: str, id_: str) -> str:
    """Id of the erasure of this customer that this contact update asks for."""
    return uuid5(_ERASURES, _joined(customer_id, source, id_))


def share(rule: str, customer_id: str) -> float:
    """A number in [0, 1) that stands for this customer under this rule: the same on every worker and for ever."""
    return int.from_bytes(blake2b(_joined(rule, customer_id).encode(), digest_size=6).digest(), "big") / (1 << 48)


def share_of(survey_id: str) -> float:
    """A number in [0, 1) that stands for this survey: the first bits of its id, which is a hash."""
    return int(survey_id[:8], 16) / (1 << 32)


def uuid5(namespace: bytes, name: str) -> str:
    """Name-based UUID of RFC 9562, section 5.5: what the standard library makes, in a third of the time."""
    text = sha1(namespace + name.encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def fingerprint(source: str, id_: str) -> int:
    """Signed 64-bit hash that tells one customer's events apart; kept instead of the names to keep journeys small."""
    text = f"{len(source)}:{source}{len(id_)}:{id_}"  # as `_joined` has it: each answer comes by here
    digest = blake2b(text.encode(), digest_size=8).digest()
    return _signed(digest)[0]  # type: ignore[no-any-return]  # the one number of its format


def _joined(*texts: str) -> str:
    """The texts as one that no other texts make."""
    return "".join([f"{len(text)}:{text}" for text in texts])
