"""Errors that may end a process of the stream side, and the only table of exit codes.

NpsError                       the kinds, shared with the sinks: `schemas.errors`
├── BadInput
│   ├── BadSettings            a setting or an argument is wrong
│   ├── BadProgram             the program file is wrong
│   ├── NotAllowed             Kafka's ACLs refuse us something, in `schemas.acls`
│   ├── BadTopics              a topic is missing or has the wrong number of partitions
│   └── PortTaken              another process listens on the port, or we may not
├── ServerAway
│   ├── BrokerAway             Kafka does not answer
│   ├── NotStarted             a local server could not be started
│   └── ChildDied              a process of the local pipeline ended on its own
├── FuseBlown                  too many bad records
├── Undelivered                output that Kafka did not take
├── LeaseLost                  another worker may own our partitions
├── Stalled                    a partition stands still
└── StateError
    ├── StateLost              a state topic lost records
    └── BadState               a state record cannot be read

An error outside this tree is a bug and ends with 1, but for Ctrl-C and what the Kafka client says of Kafka; so does a
BadState, for which a person must choose the version that runs.
"""

from enum import IntEnum

from confluent_kafka import KafkaException

from schemas.errors import BadInput, FuseBlown, NpsError, ServerAway, Undelivered


class BadSettings(BadInput, ValueError):
    """A setting or an argument is wrong; the message names it and says what to do."""


class BadProgram(BadInput, ValueError):
    """The program file is wrong; the message is file, line, the fault and its remedy."""


class BadTopics(BadInput):
    """A topic that the worker needs is missing, has the wrong number of partitions, or was created anew."""


class PortTaken(BadInput, OSError):
    """Another process listens on the port, or we may not."""


class BrokerAway(ServerAway):
    """Kafka does not answer."""


class NotStarted(ServerAway):
    """A local server could not be started; the message says why and what to do."""


class ChildDied(ServerAway):
    """A process of the local pipeline ended on its own."""


class LeaseLost(NpsError):
    """The group may have given our partitions to another worker: nothing more may be written."""


class Stalled(NpsError):
    """Records lie in a partition and none of them was applied for too long."""


class StateError(NpsError):
    """The state that a worker continues from cannot be relied on."""


class StateLost(StateError):
    """A state topic holds less than it did when offsets were committed."""


class BadState(StateError):
    """A record of a state topic is not what this version writes."""


class ExitCode(IntEnum):
    """Exit codes of a process; `meaning` is the sentence of each in the README and the runbook."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "ExitCode":
        """Make a code, which is its number, with the sentence beside it for people."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    OK = 0, "Asked to stop: the batch in hand was finished, everything committed, the group left."
    UNEXPECTED = 1, "An error nobody foresaw: a bug. The log line says where; nothing after it was committed."
    BAD_SETTINGS = (
        2, "A setting is wrong, or a topic is missing or has the wrong number of partitions. A restart will not help."
    )  # fmt: skip
    BROKER_AWAY = (
        3,
        "Kafka, ClickHouse or the registry did not answer for `NPS_SERVER_WAIT_S`. Restart once it is back.",
    )
    LEASE_LOST = (
        4,
        "This worker was silent, or slow to let go, for so long that another may own its partitions. Restart.",
    )
    FUSE_BLOWN = 5, "Too many bad records: see the dead letters, fix the cause, then restart."
    UNDELIVERED = 6, "Kafka did not accept some output. Restart once it does; the input will be read again."
    STATE_LOST = (
        7,
        "A state topic lost records: going on would publish wrong numbers. The log line says what to do.",
    )
    STALLED = (
        8,
        "Records lay in a partition and none was applied for `NPS_STALL_S`. Restart, which reads on from the state.",
    )
    INTERRUPTED = 130, "Stopped by Ctrl-C before the command was done."


CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (BadInput, ExitCode.BAD_SETTINGS),
    (LeaseLost, ExitCode.LEASE_LOST),
    (FuseBlown, ExitCode.FUSE_BLOWN),
    (Undelivered, ExitCode.UNDELIVERED),
    (StateLost, ExitCode.STATE_LOST),
    (Stalled, ExitCode.STALLED),
    (ServerAway, ExitCode.BROKER_AWAY),
    (KafkaException, ExitCode.BROKER_AWAY),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
)
"""Exit code of each class of errors; the first line that fits holds."""


def exit_code(error: BaseException) -> ExitCode:
    """Exit code of an error; UNEXPECTED for one outside the table, whose traceback is to be logged."""
    return next((code for error_class, code in CODES if isinstance(error, error_class)), ExitCode.UNEXPECTED)
