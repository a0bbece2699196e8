"""Refusals by Kafka's ACLs, as errors that say which ACL to add."""

from schemas.errors import BadInput

TOPIC_REFUSED, GROUP_REFUSED, CLUSTER_REFUSED = 29, 30, 31
"""Kafka's error codes."""

_RESOURCES = {TOPIC_REFUSED: "topic", GROUP_REFUSED: "group", CLUSTER_REFUSED: "cluster"}
REFUSALS = frozenset(_RESOURCES)


class NotAllowed(BadInput):
    """A group, topic or operation that Kafka's ACLs refuse us; a restart will not help."""


def not_allowed_to_write(code: int, topic: str) -> NotAllowed:
    """Make the error for one of the REFUSALS of a record on a topic, by an idempotent producer."""
    return not_allowed(code, topic, "Write" if code == TOPIC_REFUSED else "IdempotentWrite")


def not_allowed(code: int, name: str, operation: str) -> NotAllowed:
    """Make the error for one of the REFUSALS, of an operation on the topic or group of this name."""
    resource = _RESOURCES[code]
    of = f"{resource} {name}" if name and resource != "cluster" else resource
    return NotAllowed(
        f"Kafka's ACLs do not allow us {operation} on {of}: "
        f"kafka-acls.sh --add --allow-principal User:... --operation {operation} --{of}"
    )
