"""Ids made from their cause, so that a replay makes the same ones."""

from hashlib import blake2b
from uuid import UUID, uuid5

_SURVEYS = UUID("6f1d3c52-1f3a-5f0e-9d4e-6e7073737276")
_DECISIONS = UUID("6f1d3c52-1f3a-5f0e-9d4e-6e7073646563")
_ALERTS = UUID("6f1d3c52-1f3a-5f0e-9d4e-6e7073616c72")


def survey_id(source: str, id_: str, rule: str) -> str:
    """The survey that this rule asks for after this trigger."""
    return str(uuid5(_SURVEYS, _joined(rule, source, id_)))


def decision_id(source: str, id_: str) -> str:
    """The one decision about this trigger."""
    return str(uuid5(_DECISIONS, _joined(source, id_)))


def alert_id(survey: str, revision: int) -> str:
    """The alert about this revision of a survey's answer."""
    return str(uuid5(_ALERTS, _joined(survey, str(revision))))


def fingerprint(source: str, id_: str) -> int:
    """64 bits that tell one customer's events apart; kept instead of the names to keep a journey small."""
    return int.from_bytes(blake2b(_joined(source, id_).encode(), digest_size=8).digest(), "big", signed=True)


def _joined(*parts: str) -> str:
    """The parts as one text that no other parts make."""
    return "".join([f"{len(part)}:{part}" for part in parts])
