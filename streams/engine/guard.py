"""One guard around everything the engine calls: an unexpected error ends the process, before the next commit.

Stock Faust acknowledges an event whose agent raised and goes on.  Here nothing is counted as done unless its handler
returned, and a handler that raises takes the process with it: the supervisor restarts it from the last commit.
"""

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from streams.engine.fuse import FuseBlown
from streams.engine.lease import LeaseLost
from streams.engine.producer import Undelivered
from streams.engine.witness import StateLost

logger = logging.getLogger("streams.engine")


class ExitCode(IntEnum):
    """Why a worker ended; what the supervisor and the runbook see."""

    OK = 0
    """Asked to stop: the block in hand was finished, everything committed, the group left."""
    UNEXPECTED = 1
    """An error nobody foresaw: a bug.  The log line says where; nothing after it was committed."""
    BAD_SETTINGS = 2
    """A setting is wrong, or a topic is missing or has the wrong number of partitions.  A restart will not help."""
    BROKER_AWAY = 3
    """Kafka did not answer for `broker_wait_ms`.  Restart once it is back."""
    LEASE_LOST = 4
    """This worker was silent, or slow to let go, for so long that another may own its partitions.  Restart."""
    FUSE_BLOWN = 5
    """Too many bad records: see the dead letters, fix the cause, then restart."""
    UNDELIVERED = 6
    """Kafka did not accept some output.  Restart once it does; the input will be read again."""
    STATE_LOST = 7
    """A state topic lost records: going on would publish wrong numbers.  The log line says what to do."""


class BadTopics(Exception):
    """A topic that the worker needs is missing, or partitions do not match."""


class BrokerAway(Exception):
    """Kafka does not answer."""


_CODES: dict[type[Exception], ExitCode] = {
    BadTopics: ExitCode.BAD_SETTINGS,
    BrokerAway: ExitCode.BROKER_AWAY,
    LeaseLost: ExitCode.LEASE_LOST,
    FuseBlown: ExitCode.FUSE_BLOWN,
    Undelivered: ExitCode.UNDELIVERED,
    StateLost: ExitCode.STATE_LOST,
}

Stop = Callable[[ExitCode], None]


def exit_code(error: BaseException) -> ExitCode:
    """The exit code that tells this error apart; UNEXPECTED for any that is not foreseen."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), ExitCode.UNEXPECTED)


def stop_at_once(code: ExitCode) -> None:
    """End the process here and now, so that nothing else can be written or committed."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def guard(where: str, stop: Stop) -> Iterator[None]:
    """Let cancellation pass; any other error is said in one line and stops the process."""
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        logger.critical("worker stopped: %s: %s", where, describe(error))
        logger.debug("the traceback", exc_info=error)
        stop(exit_code(error))
        raise


def describe(error: BaseException) -> str:
    """The error in one line; an unforeseen one with the place that raised it."""
    text = " ".join(str(error).split())
    if exit_code(error) is not ExitCode.UNEXPECTED:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {text}{place}"
