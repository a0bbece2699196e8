"""What comes back for a survey: pushed answers, clicks of persons and machines, corrections, comments, withdrawals."""

from schemas.events import Purchase, SupportCase, SurveyResponse
from tests.faults.oracle.ids import confirmation_of, survey_of
from tests.faults.oracle.terms import Ask
from tests.faults.traffic.mix import DAY_MS
from tests.faults.traffic.pen import Pen

COMMENTS = ("arrived late", "will come again", "böse 😡", "")
LONG_COMMENT = "böse 😡" * 2_000
SCORES = (0, 2, 3, 4, 5, 6, 7, 7, 8, 8, *[9] * 4, *[10] * 6)


class Replies:
    """The replies of one customer to one survey; `due_ms` is when it should be sent."""

    def __init__(self, pen: Pen, trigger: Purchase | SupportCase, ask: Ask, due_ms: int) -> None:
        self._pen, self._ask, self._due_ms, self._customer = pen, ask, due_ms, trigger.customer_id
        self.survey = survey_of(trigger.customer_id, trigger.source, trigger.id, ask.name)

    def tell(self, first_ms: int | None = None) -> None:
        """Everything that this customer, or somebody else, says about the survey, from `first_ms` on if it is given."""
        r, mix = self._pen.r, self._pen.mix
        if first_ms is None:
            first_ms = self._due_ms + mix.apart_ms + r.randrange(mix.spread_ms)
            if r.random() < 0.03:
                first_ms = self._due_ms + self._ask.expires_ms + r.randrange(-60_000, mix.spread_ms)
        if r.random() < mix.scanned_ratio:
            reminded_ms = self._due_ms + self._ask.remind_after_ms
            self._scan(r.choice((self._due_ms + mix.apart_ms, reminded_ms - mix.apart_ms - 3_000)) + r.randrange(3_000))
        if r.random() < mix.clicked_ratio:
            self._click(first_ms)
        elif r.random() < mix.untimed_ratio:
            self._push_untimed(first_ms)
        else:
            self._respond(0, first_ms, r.choice(SCORES))
        self._go_on(first_ms)
        self._stray(first_ms)

    def _go_on(self, first_ms: int) -> None:
        r, mix, spread_ms = self._pen.r, self._pen.mix, self._pen.mix.spread_ms
        if r.random() < 0.4:
            self._respond(1, first_ms + r.randrange(spread_ms), None, r.choice(COMMENTS))
        if r.random() < mix.long_ratio and self._pen.is_first_long(self._customer):
            self._respond("long", first_ms + r.randrange(spread_ms), r.randrange(11), LONG_COMMENT, once=True)
        number = 2
        while r.random() < mix.corrected_ratio and number < 8:
            later_ms = r.choice((0, r.randrange(spread_ms), self._pen.terms.edit_ms + r.choice((0, 1, DAY_MS))))
            self._respond(number, first_ms + later_ms, r.randrange(11), r.choice((None, "so it is")))
            number += 1
        if r.random() < mix.voided_ratio:
            self._respond(8, first_ms + r.randrange(-1_000, spread_ms), voided=True)
            if r.random() < 0.5:
                self._respond(9, first_ms + r.randrange(2 * spread_ms), r.randrange(11))

    def _respond(
        self, number: int | str, at_ms: int, score: int | None = None, comment: str | None = None, *,
        voided: bool = False, customer: str = "", survey: str = "", once: bool = False,
    ) -> None:  # fmt: skip
        """One response by a way of its own."""
        pen = self._pen
        response = SurveyResponse(
            source="tool", id=f"{self.survey}-{number}", type="survey.answered", time=pen.skewed(at_ms),
            customer_id=customer or self._customer, survey_id=survey or self.survey, score=score, comment=comment,
            voided=voided, channel="email",
        )  # fmt: skip
        written_ms = at_ms + pen.r.choice((0, 0, 0, pen.r.randrange(pen.mix.spread_ms)))
        (pen.emit_once if once else pen.emit)(response, written_ms)

    def _push_untimed(self, at_ms: int) -> None:
        """An answer without a time has that of its arrival: told again it has another."""
        r = self._pen.r
        for copy_ms in (at_ms, at_ms + r.randrange(self._pen.mix.spread_ms))[: r.randrange(1, 3)]:
            event = self._collected("survey.answered", copy_ms, r.choice(SCORES), "push", source="tool")
            self._pen.emit_once(event, copy_ms)

    def _click(self, at_ms: int) -> None:
        """A person opens a link, perhaps twice or another one; the page may say so."""
        r = self._pen.r
        score = r.choice(SCORES)
        for clicked_ms in (at_ms, at_ms + r.choice((1, 500, 3_000, 60_000)))[: r.choice((1, 1, 1, 2))]:
            self._provisional("survey.clicked", clicked_ms, score)
            if r.random() < 0.4:
                beacon_ms = clicked_ms + r.choice((100, 1_000, 5_000))
                id_ = confirmation_of(self.survey, clicked_ms, score)
                event = self._collected("survey.confirmed", clicked_ms, score, id_)._replace(channel="link")
                self._pen.emit(event, beacon_ms, is_beacon=True)
            if r.random() < 0.3:
                score = r.choice(SCORES)

    def _scan(self, at_ms: int) -> None:
        """A machine opens every link, or one that nobody sees, perhaps some time after a person's click."""
        r, wait_ms = self._pen.r, self._pen.terms.confirm_ms
        if r.random() < 0.5:
            self._provisional("survey.clicked", at_ms, r.choice(SCORES))
            type_ = ("survey.trapped", "survey.headed")[at_ms % 2]
            self._provisional(type_, at_ms + r.choice((0, wait_ms - 1, wait_ms)), None)
            return
        for number, score in enumerate(r.sample(range(11), r.choice((2, 3, 11)))):
            self._provisional("survey.clicked", at_ms + number * r.choice((0, 5, wait_ms // 2)), score)

    def _provisional(self, type_: str, at_ms: int, score: int | None) -> None:
        event = self._collected(type_, at_ms, score, f"{type_} {at_ms} {score}")
        self._pen.emit(event._replace(provisional=True, voided=score is None, channel="link"), at_ms)

    def _collected(
        self, type_: str, at_ms: int, score: int | None, id_: str, source: str = "nps.collector"
    ) -> SurveyResponse:
        id_ = id_ if source == "nps.collector" else f"{self.survey}-{id_}"
        return SurveyResponse(
            source, id_, type_, at_ms, self._customer, self.survey, score, None, False, "email"
        )  # fmt: skip

    def _stray(self, at_ms: int) -> None:
        """Answers that are none, of somebody else, or to what was never asked."""
        r, mix = self._pen.r, self._pen.mix
        if r.random() < mix.faulty_ratio:
            self._respond("bad", at_ms, r.choice((11, -1, 99, None)))
        if r.random() < mix.stray_ratio:
            self._respond("stolen", at_ms, 0, "mine", customer=f"{self._customer}-thief")
            self._respond("never", at_ms, 10, survey=self.survey[::-1])
