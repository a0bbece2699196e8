"""Guard around everything the engine calls: an error ends the process before the next commit.

Stock Faust acknowledges an event whose agent raised and goes on.  Here a batch is finished only when its handler
returned, and a handler that raises ends the process: the supervisor restarts it from the last commit.
"""

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiokafka import errors

from schemas.acls import CLUSTER_REFUSED, GROUP_REFUSED, TOPIC_REFUSED, not_allowed
from streams.errors import ExitCode, exit_code

logger = logging.getLogger("streams.engine")


Stop = Callable[[ExitCode], None]
"""Ends the process with this exit code."""


def stop_at_once(code: ExitCode) -> None:
    """End the process at once, so that nothing else can be written or committed."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def guard(where: str, stop: Stop) -> Iterator[None]:
    """Log any error in one line and stop the process; cancellation passes.  `where` names what is guarded."""
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as raised:
        error = _refusal(raised) or raised
        logger.critical("worker stopped: %s: %s", where, describe(error))
        logger.debug("the traceback", exc_info=raised)
        stop(exit_code(error))
        if error is raised:
            raise
        raise error from raised


def _refusal(error: BaseException) -> BaseException | None:
    """The error that says which ACL is missing, for what aiokafka says of it; None for any other."""
    codes = {
        errors.GroupAuthorizationFailedError: GROUP_REFUSED,
        errors.TopicAuthorizationFailedError: TOPIC_REFUSED,
        errors.ClusterAuthorizationFailedError: CLUSTER_REFUSED,
    }
    if (code := codes.get(type(error))) is None:
        return None
    names = error.args[0] if error.args else ()
    name = names if isinstance(names, str) else ", ".join(sorted(map(str, names)))
    return not_allowed(code, name, "ClusterAction" if code == CLUSTER_REFUSED else "Read")


def describe(error: BaseException) -> str:
    """The error in one line; one without an exit code of its own with its type, file and line."""
    text = " ".join(str(error).split())
    if exit_code(error) is not ExitCode.UNEXPECTED:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {text}{place}"
