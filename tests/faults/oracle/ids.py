"""The ids that events must lead to, written down once more: a mistake of the pipeline must not be repeated here."""

from uuid import UUID, uuid5

_NAMESPACE = "6f1d3c52-1f3a-5f0e-9d4e-6e7073{}"
_SURVEYS, _DECISIONS, _ALERTS, _CONFIRMATIONS, _ERASURES = (
    UUID(_NAMESPACE.format(tail)) for tail in ("737276", "646563", "616c72", "636c69", "657261")
)


def survey_of(customer: str, source: str, id_: str, rule: str) -> str:
    """The survey id that a rule and a customer's trigger must lead to."""
    return str(uuid5(_SURVEYS, _joined(rule, customer, source, id_)))


def decision_of(customer: str, source: str, id_: str) -> str:
    """The decision id of a customer's trigger."""
    return str(uuid5(_DECISIONS, _joined(customer, source, id_)))


def alert_of(survey_id: str, revision: int) -> str:
    """The alert id of one revision of an answer."""
    return str(uuid5(_ALERTS, _joined(survey_id, str(revision))))


def confirmation_of(survey_id: str, clicked_ms: int, score: int) -> str:
    """The id of the answer that a click becomes."""
    return str(uuid5(_CONFIRMATIONS, f"{clicked_ms}:{score}:{survey_id}"))


def erasure_of(customer: str, source: str, id_: str) -> str:
    """The id of the erasure that a contact update asks for."""
    return str(uuid5(_ERASURES, _joined(customer, source, id_)))


def _joined(*texts: str) -> str:
    return "".join(f"{len(text)}:{text}" for text in texts)
