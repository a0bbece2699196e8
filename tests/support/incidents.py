"""A desk on call without Kafka: events of nps.oncall in, each due time at its own, and all that is written out."""

from collections.abc import Iterable

from schemas.events import Case, Incident, Notification, OncallEvent
from schemas.oncall import PAYLOADS, Action, AlertPayload, ErasePayload, Payload, encode
from streams.domain.incidents.rules import EscalationStep, Match, OncallRules, Receiver, Route
from streams.oncall.fold import Fold

START_MS = 1_700_000_000_000
SECOND_MS, HOUR_MS = 1_000, 3_600_000

RULES = OncallRules(
    routes=(Route("rest", Match(), (EscalationStep(0, ("chat", "pager")), EscalationStep(15 * SECOND_MS, ("lead",)))),),
    receivers={name: Receiver(name, "console") for name in ("chat", "pager", "lead")},
    wait_ms=3 * SECOND_MS,
    interval_ms=7 * SECOND_MS,
    repeat_ms=60 * SECOND_MS,
    acknowledge_ms=120 * SECOND_MS,
)


def alert(key: str, revision: int = 1, score: int | None = 5, at_ms: int = START_MS, **more: object) -> AlertPayload:
    """An alert that opens, or resolves when the score is none of a detractor."""
    is_open = score is not None and score <= 6
    fields = {
        "alert_id": f"{key}:{revision}", "dedup_key": key, "status": "open" if is_open else "resolved",
        "severity": "critical" if score is not None and score <= 2 else "warning", "customer_id": f"customer-{key}",
        "survey": "delivery", "rule": "after-delivery", "score": score, "comment": None, "revision": revision,
        "answered_ms": at_ms, "received_ms": at_ms, "segments": ("all", "country=BR"),
    }  # fmt: skip
    return AlertPayload(**{**fields, **more})  # type: ignore[arg-type]  # as declared


def action(verb: str, incident_id: str = "", key: str | None = None, actor: str = "ana", **more: object) -> Action:
    """What a person does."""
    fields = {"incident_id": incident_id, "verb": verb, "actor": actor, "dedup_key": key}
    return Action(**{**fields, **more})  # type: ignore[arg-type]  # as declared


def erase(customer_id: str) -> ErasePayload:
    """An erasure."""
    return ErasePayload(customer_id=customer_id, erasure_id=f"erasure-{customer_id}")


def event_of(payload: Payload, event_id: str) -> OncallEvent:
    """The event with this payload."""
    (kind,) = [kind for kind, struct in PAYLOADS.items() if struct is type(payload)]
    return OncallEvent(event_id, kind, 0, "subject", encode(payload))


class Desk:
    """A fold whose due times are met to the millisecond, and the log of its events."""

    def __init__(self, rules: OncallRules = RULES) -> None:
        self.fold = Fold(rules)
        self.log: list[tuple[int, OncallEvent]] = []
        self.notifications: list[Notification] = []
        self.cases: dict[str, Case] = {}
        self.incidents: dict[str, Incident] = {}

    def take(self, at_ms: int, payload: Payload, event_id: str | None = None) -> None:
        """Meet what is due until then, then take an event."""
        self.wait(at_ms)
        self._put(at_ms, event_of(payload, event_id or f"event-{len(self.log)}"))

    def wait(self, until_ms: int) -> None:
        """Let time pass."""
        while (due_ms := min(self._dues(), default=until_ms + 1)) <= until_ms:
            for event in self.fold.due(due_ms):
                self._put(due_ms, event)

    def said(self) -> list[tuple[int, str, str]]:
        """Second, verb and receiver of each notification, from the start."""
        return [((one.time - START_MS) // SECOND_MS, one.verb, one.receiver) for one in self.notifications]

    def _put(self, at_ms: int, event: OncallEvent) -> None:
        self.fold.take(len(self.log), at_ms, event)
        self.log.append((at_ms, event))
        for record in self.fold.effects():
            if isinstance(record, Case):
                self.cases[record.dedup_key] = record
            else:
                self.notifications.append(record)
        self.incidents |= {row.incident_id: row for row in self.fold.states()}

    def _dues(self) -> Iterable[int]:
        return (one.due_ms for one in self.fold.index.by_id.values() if one.due_ms is not None)
