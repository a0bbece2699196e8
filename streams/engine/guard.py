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

from streams.errors import ExitCode, exit_code

logger = logging.getLogger("streams.engine")


Stop = Callable[[ExitCode], None]


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
