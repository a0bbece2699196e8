"""Decisions, dispatches and answers as plain as they can be: a number, and how it ended."""

from schemas.events import Answer, Decision, SurveyDispatch


def decision(number: int, end: str) -> Decision:
    reason = end if end not in ("sent", "pending") else None
    return Decision(
        f"d{number}", "c1", "shop", f"t{number}", "order.delivered", 0, "o", "rule", "survey",
        "suppressed" if reason else end, reason, None, None, 0, ["all"], "prog", None, None, None, None, None, 0,
    )  # fmt: skip


def dispatch(number: int, reminder: int = 0) -> SurveyDispatch:
    return SurveyDispatch(
        f"s{number}", "c1", "survey", "rule", "shop", f"t{number}", 0, "o", 0, 9, ["all"], {}, "prog", "nps", 1, None,
        None, {}, None, reminder, 0, 1.0, 0,
    )  # fmt: skip


def answer(number: int, counted: bool = True) -> Answer:
    return Answer(
        f"s{number}", "c1", "survey", "rule", "o", "tool", "r", 1, 9, "promoter", None, counted, None, 0, 0, 0, ["all"],
        {}, "prog", 1,
    )  # fmt: skip
