"""Alerts: the severity of a detractor's answer, and the records that open and resolve an alert."""

from schemas.events import Alert
from schemas.records import positional
from streams.domain.effects import Step
from streams.domain.ids import alert_id
from streams.domain.policy import AlertPolicy
from streams.domain.state import Given, Invitation

OPEN = "open"
RESOLVED = "resolved"


def severity(score: int, policy: AlertPolicy) -> str:
    """Severity of a score: 'critical', 'error', 'warning', or '' for no alert."""
    if score <= policy.critical_max:
        return "critical"
    if score <= policy.error_max:
        return "error"
    return "warning" if score <= policy.warning_max else ""


@positional
def alert(invitation: Invitation, given: Given, severity_before: str, step: Step) -> Alert:
    """The alert that a revision raises or resolves.

    Every revision with a severity makes one, so that a comment reaches whoever was paged; the first revision after it
    without a severity resolves it, with the severity that was open.
    """
    scores = given.scores
    return Alert(
        alert_id=alert_id(invitation.survey_id, given.revision),
        dedup_key=invitation.survey_id,
        status=OPEN if given.severity else RESOLVED,
        severity=given.severity or severity_before,
        customer_id=step.customer_id,
        survey=invitation.survey,
        rule=invitation.rule,
        correlation_id=invitation.correlation,
        score=scores[-1][2] if scores else None,
        comment=given.comment,
        revision=given.revision,
        answered_ms=scores[0][0] if scores else step.now_ms,
        received_ms=step.now_ms,
        segments=invitation.segments,
        program=step.program.hash,
        version=0,
    )
