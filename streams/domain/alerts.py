"""When a detractor's answer alerts, and when it resolves."""

from schemas.events import Alert
from streams.domain.ids import alert_id
from streams.domain.policy import AlertPolicy, Program
from streams.domain.state import Given, Invitation

OPEN = "open"
RESOLVED = "resolved"


def severity(score: int, policy: AlertPolicy) -> str:
    """How bad a score is: 'critical', 'error', 'warning', or '' for no alert."""
    if score <= policy.critical_max:
        return "critical"
    if score <= policy.error_max:
        return "error"
    return "warning" if score <= policy.warning_max else ""


def alert(
    invitation: Invitation, given: Given, severity_before: str, customer_id: str, received_ms: int, program: Program
) -> Alert:
    """The alert that a revision raises or resolves.

    Every revision of a counted detractor tells, so that a comment reaches whoever was paged; the first revision after
    it that is none resolves, with the severity that was open.
    """
    scores = given.scores
    return Alert(  # by position: naming the fields takes three times as long
        alert_id(invitation.survey_id, given.revision),
        invitation.survey_id,
        OPEN if given.severity else RESOLVED,
        given.severity or severity_before,
        customer_id,
        invitation.survey,
        invitation.rule,
        invitation.correlation,
        scores[-1][2] if scores else None,
        given.comment,
        given.revision,
        scores[0][0] if scores else received_ms,
        received_ms,
        invitation.segments,
        program.hash,
        0,
    )
