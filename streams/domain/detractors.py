"""When a detractor's answer alerts, and when it resolves."""

from schemas.events import Alert
from streams.domain.identity import alert_id
from streams.domain.policy import AlertPolicy, Program
from streams.domain.state import Given, Survey

OPEN = "open"
RESOLVED = "resolved"


def severity(score: int, policy: AlertPolicy) -> str:
    """How bad a score is: 'critical', 'error', 'warning', or '' for no alert."""
    if score <= policy.critical_max:
        return "critical"
    if score <= policy.error_max:
        return "error"
    return "warning" if score <= policy.warning_max else ""


def judge(survey: Survey, given: Given, customer_id: str, received_ms: int, program: Program) -> Alert | None:
    """The alert that this revision raises or resolves; None when there is nothing to tell.

    Every revision of a counted detractor tells, so that a comment reaches whoever was paged; the first revision after
    it that is none resolves.  `given.severity` is that of the alert open until now.
    """
    now = severity(given.score, program.alerts) if given.counted is not None and given.score is not None else ""
    if not now and not given.severity:
        return None
    return Alert(
        alert_id=alert_id(survey.survey_id, given.revision),
        dedup_key=survey.survey_id,
        status=OPEN if now else RESOLVED,
        severity=now or given.severity,
        customer_id=customer_id,
        survey=survey.survey,
        rule=survey.rule,
        correlation_id=survey.correlation,
        score=given.score,
        comment=given.comment,
        revision=given.revision,
        answered_ms=given.first_ms if given.first_ms is not None else received_ms,
        received_ms=received_ms,
        segments=survey.segments,
        program=program.hash,
        version=0,
    )
