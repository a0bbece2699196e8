"""Which exit code an error ends a command with.  Loaded once there is one: it knows the errors of all commands."""

from confluent_kafka import KafkaException

from sinks.migrate import Edited
from sinks.warehouse import Misconfigured, WarehouseError
from sinks.writing import TooManyRefused
from streams.demo import Died
from streams.engine.guard import BadTopics, BrokerAway, ExitCode
from streams.engine.producer import Undelivered
from streams.local import NotStarted
from streams.produce import BadLine
from streams.program import BadProgram
from streams.settings import BadSettings

CODES: tuple[tuple[tuple[type[BaseException], ...], int], ...] = (
    ((BadSettings, BadProgram, BadTopics, BadLine, Misconfigured, Edited), ExitCode.BAD_SETTINGS),
    ((TooManyRefused,), ExitCode.FUSE_BLOWN),
    ((Undelivered,), ExitCode.UNDELIVERED),
    ((BrokerAway, NotStarted, Died, WarehouseError, ConnectionError, KafkaException), ExitCode.BROKER_AWAY),
    ((KeyboardInterrupt,), 130),
)


def exit_code(error: BaseException) -> int | None:
    """The code for an error that fits one line; None for one that nobody foresaw, which wants its traceback."""
    return next((code for kinds, code in CODES if isinstance(error, kinds)), None)
