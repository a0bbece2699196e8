"""Fold of nps.oncall into incidents, in memory, with what is to be written of each batch.

    take events  →  effects(): notifications and cases  ─flush─►  states(): incidents, oldest first  ─flush─►  commit

Each incident keeps the offset up to which it has taken events, and skips those at or below it.  Incidents are written
in the order of that offset, so after a crash an event of a group whose last incident is further than the event was
taken already, whether by that incident or by one before it.
"""

from collections.abc import Iterator
from dataclasses import replace
from heapq import heappop, heappush

from schemas.events import Case, Incident, Notification, OncallEvent
from schemas.oncall import AlertPayload, DuePayload, FallPayload, SilencePayload, payload_of
from streams.domain.incidents.lifecycle import Index, find, group_key, openable, step
from streams.domain.incidents.rules import Match, OncallRules, Silence
from streams.domain.incidents.state import CaseChanged, IncidentEffect, Notify
from streams.oncall.records import case_of, event_of_due, incident_of, notification_of, row_of

MOST_SILENCES = 1_000
MOST_INCIDENTS = 20_000
"""Incidents that are known; beyond it the resolved ones that are longest so are forgotten early."""


class Fold:
    """Incidents as of the events taken so far; `epoch` is that of the topics, for versions."""

    def __init__(self, rules: OncallRules, epoch: int = 0) -> None:
        self._configured = rules
        self._rules = rules
        self._epoch = epoch
        self._silences: dict[str, SilencePayload] = {}
        self._effects: list[tuple[int, IncidentEffect]] = []
        self._changed: dict[str, None] = {}
        self._due: list[tuple[int, str]] = []
        self._scheduled: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self.index = Index()
        self.paged: list[int] = []
        """Kafka times of the responses whose alerts led to a page in this batch."""

    def restore(self, row: Incident) -> None:
        """Know an incident as it was written.  Raises ValueError for a record that we did not write."""
        incident = incident_of(row)
        self.index.put(incident)
        self._schedule(incident.incident_id, incident.due_ms)

    def forget(self, incident_id: str) -> None:
        """Know nothing of an incident any more."""
        self.index.forget(incident_id)
        self._scheduled.pop(incident_id, None)
        self._asked.pop(incident_id, None)

    def silence(self, payload: SilencePayload, now_ms: int) -> None:
        """Heed a silence that a person made; those that are over are forgotten, of too many the first to end."""
        self._silences[payload.silence_id] = payload
        live = sorted((one for one in self._silences.values() if one.until_ms > now_ms), key=lambda one: one.until_ms)
        self._silences = {one.silence_id: one for one in live[-MOST_SILENCES:]}
        self._rules = replace(
            self._configured, silences=(*self._configured.silences, *map(_silence, self._silences.values()))
        )

    def take(self, offset: int, now_ms: int, event: OncallEvent) -> None:
        """Take one event of nps.oncall.  Raises ValueError, changing nothing, for a payload that is not its kind's."""
        payload = payload_of(event)
        if isinstance(payload, SilencePayload):
            self.silence(payload, now_ms)
        rules = self._rules
        for incident in find(payload, self.index, rules):
            seen = incident or self.index.last_of_group(group_key(payload, rules))
            if seen is not None and seen.as_of >= offset:
                continue
            if isinstance(payload, DuePayload) and incident is not None and payload.due_ms != incident.due_ms:
                continue
            if isinstance(payload, FallPayload) and incident is None:
                payload = openable(payload, seen)
            after, effects = step(incident, payload, event.event_id, rules, now_ms)
            if after is None or after == incident:
                continue
            self.index.put(replace(after, as_of=offset))
            self._changed.pop(after.incident_id, None)  # the last one that changed is written last
            self._changed[after.incident_id] = None
            if isinstance(payload, AlertPayload) and any(isinstance(effect, Notify) for effect in effects):
                self.paged.append(payload.received_ms)
            self._effects += [(offset, effect) for effect in effects]
            self._schedule(after.incident_id, after.due_ms)

    def effects(self) -> list[Notification | Case]:
        """Notifications and cases of what was taken, in order; then there are none."""
        made, self._effects = self._effects, []
        return [self._record(offset, effect) for offset, effect in made]

    def states(self) -> list[Incident]:
        """The incidents that have changed, in the order of the events that they took last; then there are none."""
        made, self._changed = self._changed, {}
        known = self.index.by_id
        return [row_of(known[name], self._version(known[name].as_of)) for name in made]

    def due(self, now_ms: int) -> list[OncallEvent]:
        """Events of the due times that have come, each once."""
        events = []
        while self._due and self._due[0][0] <= now_ms:
            due_ms, incident_id = heappop(self._due)
            incident = self.index.by_id.get(incident_id)
            if incident is not None and incident.due_ms == due_ms and self._asked.get(incident_id) != due_ms:
                self._asked[incident_id] = due_ms
                events.append(event_of_due(incident_id, due_ms))
        return events

    def forgettable(self, now_ms: int) -> list[str]:
        """Ids of resolved incidents that need not be known any more, oldest first."""
        resolved = [(one.resolved_ms or 0, one.incident_id) for one in self.index.by_id.values() if one.is_resolved]
        too_many = len(self.index.by_id) - MOST_INCIDENTS
        ranked = sorted(resolved)
        return [name for at, (ms, name) in enumerate(ranked) if at < too_many or ms + self._rules.keep_ms < now_ms]

    def has_fall(self, segment: str) -> bool:
        """True while a fall of this segment is not resolved."""
        return self.index.of_group(f"fall|{segment}") is not None

    def count_by_state(self) -> Iterator[tuple[str, int]]:
        """Number of incidents in each state."""
        states = [incident.state for incident in self.index.by_id.values()]
        for state in ("waiting", "open", "acknowledged", "resolved"):
            yield state, states.count(state)

    def overdue_cases(self, now_ms: int) -> int:
        """Number of open cases whose time to close is over."""
        close_ms = self._rules.close_ms
        return sum(
            member.opened_ms + close_ms < now_ms
            for incident in self.index.by_id.values()
            if not incident.is_resolved
            for member in incident.open_members
        )

    def _schedule(self, incident_id: str, due_ms: int | None) -> None:
        if due_ms is not None and self._scheduled.get(incident_id) != due_ms:
            self._scheduled[incident_id] = due_ms
            heappush(self._due, (due_ms, incident_id))

    def _record(self, offset: int, effect: IncidentEffect) -> Notification | Case:
        match effect:
            case Notify():
                return notification_of(effect)
            case CaseChanged():
                return case_of(effect, self._rules.program, self._version(offset))

    def _version(self, offset: int) -> int:
        return self._epoch << 48 | offset


def _silence(payload: SilencePayload) -> Silence:
    match = Match(frozenset(payload.kinds), frozenset(payload.segments), routes=frozenset(payload.routes))
    return Silence(match, payload.starts_ms, payload.until_ms)
