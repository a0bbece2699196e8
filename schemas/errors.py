"""Errors that end a process, by kind, shared by streams and sinks; `streams.errors` gives each its exit code.

NpsError
├── BadInput       wrong settings, files, arguments, topics or tables: a restart will not help
├── ServerAway     Kafka, ClickHouse or the schema registry does not answer: restart once it does
├── FuseBlown      too many bad records: the fault is not in the records
└── Undelivered    Kafka did not take some output: its input must not be committed

A bad record is none of these: it becomes a dead letter and ends nothing.
"""


class NpsError(Exception):
    """Base of all foreseen errors; the text fits one line: where the fault is and what to do."""


class BadInput(NpsError):
    """Wrong settings, files, arguments, topics or tables: a person must change them."""


class ServerAway(NpsError, ConnectionError):
    """No answer from a server for as long as we may wait."""


class FuseBlown(NpsError):
    """Too many bad or refused records: the fault is not in the records."""


class Undelivered(NpsError):
    """Output that Kafka did not take: its input must not be committed."""
