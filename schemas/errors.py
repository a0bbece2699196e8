"""The kinds of error that end a process, shared by both sides; `streams.errors` gives each its exit code.

NpsError
├── BadInput       what we were given is wrong: settings, files, arguments, topics, tables; a restart will not help
├── ServerAway     Kafka, ClickHouse or the schema registry does not answer: restart once it does
├── FuseBlown      so many records are bad that the fault is not in the records
└── Undelivered    Kafka did not take some output: its input must not be committed

A bad record is none of these: it becomes a dead letter and ends nothing.
"""


class NpsError(Exception):
    """An error that fits one line: where it is and what to do."""


class BadInput(NpsError):
    """What we were given is wrong, and a person must change it."""


class ServerAway(NpsError, ConnectionError):
    """A server did not answer for as long as we may wait."""


class FuseBlown(NpsError):
    """So many records are bad, or refused, that the fault is not in the records."""


class Undelivered(NpsError):
    """Kafka did not take some of our output: its input must not be committed."""
