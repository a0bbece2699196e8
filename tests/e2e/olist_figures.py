"""What ClickHouse holds after the run on Olist's files, figure by figure beside the recount of the files."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.codec import Codec
from schemas.events import SurveyResponse
from tests.e2e.olist_recount import Expected, Tally

Query = Callable[[str], Sequence[tuple[Any, ...]]]
"""Asks ClickHouse; rows of the answer."""

NAMES = "segment, answers, promoters, passives, detractors, nps"
FROM_ANSWERS = """
SELECT arrayJoin(segments) AS segment, count() AS answers, countIf(band = 'promoter') AS promoters,
       countIf(band = 'passive') AS passives, countIf(band = 'detractor') AS detractors,
       round(100 * (promoters - detractors) / answers, 2) AS nps
FROM answers FINAL WHERE counted GROUP BY segment
"""
"""NPS from the answers themselves; `nps_by_segment` has it from the panes."""


class Figure(NamedTuple):
    """One figure as the files and as ClickHouse have it; two mappings agree when they agree in every entry."""

    what: str
    files: object
    clickhouse: object

    @property
    def agrees(self) -> bool:
        """True when both are the same."""
        return self.files == self.clickhouse

    def cells(self) -> tuple[str, str, str, str]:
        """The figure for a table, with the first entry that differs."""
        verdict = "same" if self.agrees else f"DIFFERENT{self._difference()}"
        return self.what, _text(self.files), _text(self.clickhouse), verdict

    def _difference(self) -> str:
        ours, theirs = self.files, self.clickhouse
        if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
            return ""
        key = next(key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key))
        return f": {key} is {ours.get(key)} in the files, {theirs.get(key)} in ClickHouse"


def figures(expected: Expected, query: Query, sent: int) -> list[Figure]:
    """Everything that can be compared, after every event was sent so many times."""
    decisions = query("SELECT correlation_id, groupArray(outcome) FROM decisions FINAL GROUP BY correlation_id")
    answers = query("SELECT correlation_id, score, counted, flag FROM answers FINAL")
    asked = {order_id: ["sent"] for order_id in expected.delivered}
    ours = {id_: (*answer, None if answer[1] else "expired") for id_, answer in expected.answers.items()}
    (audit,) = query("SELECT count() FROM audit_between(since = '1970-01-01', until = '2100-01-01')")[0]
    return [
        Figure("delivered orders, each with one decision", asked, dict(decisions)),
        Figure("answers: score, counted, flag", ours, {row[0]: row[1:] for row in answers}),
        *_reviews(expected, query, sent),
        Figure("open alerts, one for each detractor", expected.tallies["all"][3], _open_alerts(query)),
        Figure("segments: n, bands, NPS from panes", expected.tallies, tallies(query)),
        Figure("segments: n, bands, NPS from answers", expected.tallies, _keyed(query(FROM_ANSWERS))),
        Figure("panes that differ from the answers (audit)", 0, audit),
    ]  # fmt: skip


def tallies(query: Query) -> dict[str, Tally]:
    """The NPS of every segment, as ClickHouse shows it."""
    return _keyed(query(f"SELECT {NAMES} FROM nps_by_segment WHERE answers > 0"))


def _reviews(expected: Expected, query: Query, sent: int) -> list[Figure]:
    """Every review has one fate; a dead letter is written each time such a review is sent."""
    counted, expired = query("SELECT countIf(counted), countIf(flag = 'expired') FROM answers FINAL")[0]
    letters = query("SELECT reason, hex(value) FROM dead_letters FINAL")
    dead = {_response_id(value): reason for reason, value in letters}
    lost = expected.reviews("unknown_survey") + expected.reviews("edit_closed")
    ours = {"/".join(review): expected.fates[review] for review in lost}
    return [
        Figure("reviews counted", len(expected.reviews("counted")), counted),
        Figure("reviews kept, not counted: expired", len(expected.reviews("expired")), expired),
        Figure("reviews in dead letters, each with its reason", ours, dead),
        Figure(f"dead letters, with each review sent {sent}x", sent * len(ours), len(letters)),
    ]


def _response_id(value: str) -> str:
    return _CODEC.decode(SurveyResponse, bytes.fromhex(value)).id


def _open_alerts(query: Query) -> int:
    newest = "SELECT argMax(status, version) AS status FROM alerts FINAL GROUP BY dedup_key"
    return int(query(f"SELECT countIf(status = 'open') FROM ({newest})")[0][0])


def _keyed(found: Sequence[tuple[Any, ...]]) -> dict[str, Tally]:
    return {
        segment: (n, promoters, passives, detractors, nps) for segment, n, promoters, passives, detractors, nps in found
    }


def _text(value: object) -> str:
    return str(len(value)) if isinstance(value, Mapping) else str(value)


_CODEC = Codec()
