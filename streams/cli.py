"""`nps`: the command line.  With `streams.commands` the one place that knows both the stream side and the sinks.

Exit codes: 0 done; 2 wrong settings, program or arguments; the others are in `streams.engine.guard`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaException

from sinks.migrate import Edited
from sinks.warehouse import Misconfigured, WarehouseError
from sinks.writing import TooManyRefused
from streams.commands import collector, ledger, rehearsal, servers, services, tools
from streams.demo import Died
from streams.engine.guard import BadTopics, BrokerAway, ExitCode
from streams.engine.producer import Undelivered
from streams.local import NotStarted
from streams.produce import TOPICS, BadLine
from streams.program import BadProgram
from streams.settings import BadSettings

WRONG = (BadSettings, BadProgram, BadTopics, BadLine, Misconfigured, Edited)
AWAY = (BrokerAway, NotStarted, Died, WarehouseError, ConnectionError, KafkaException)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; errors fit one line."""
    parsed = _parser().parse_args(arguments)
    try:
        sys.exit(parsed.run(parsed))
    except WRONG as error:
        sys.exit(_said(error, ExitCode.BAD_SETTINGS))
    except TooManyRefused as error:
        sys.exit(_said(error, ExitCode.FUSE_BLOWN))
    except Undelivered as error:
        sys.exit(_said(error, ExitCode.UNDELIVERED))
    except AWAY as error:
        sys.exit(_said(error, ExitCode.BROKER_AWAY))
    except KeyboardInterrupt:
        sys.exit(_said("stopped", 130))


def _said(error: object, code: int) -> int:
    print(f"nps: {error}", file=sys.stderr)  # noqa: T201  # what a command says is its product
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nps",
        description="Real-time NPS: events trigger surveys, answers become rolling NPS, alerts and ClickHouse rows.",
        epilog="Settings come from NPS_* variables; `nps config` shows them.  Start with: nps demo",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str, example: str
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
        one.set_defaults(run=run)
        return one

    demo = command(
        "demo", servers.demo, "Run the whole pipeline for a while and prove its numbers.", "nps demo --for 60s"
    )
    demo.add_argument("--for", dest="seconds", default="60s", metavar="60s", help="how long to live after the history")
    up = command("up", servers.up, "Run the whole pipeline on this machine until Ctrl-C.", "nps up --data ./data")
    up.add_argument(
        "--data", default="data", metavar="FOLDER", help="where ClickHouse keeps its data (default: ./data)"
    )
    up.add_argument("--kafka-port", type=int, default=9092, metavar="PORT", help="default 9092")
    up.add_argument("--clickhouse-port", type=int, default=8123, metavar="PORT", help="default 8123")
    command(
        "worker",
        services.worker,
        "Process events: surveys, answers, rolling NPS, alerts.",
        "NPS_BROKERS=kafka:9092 nps worker",
    )
    command("sink", services.sink, "Load the output topics into ClickHouse.", "NPS_BROKERS=kafka:9092 nps sink")
    command(
        "notify", services.notify, "Post alerts to a webhook, or print them.", "NPS_WEBHOOK_URL=https://... nps notify"
    )
    command(
        "collector", collector.run, "Take answers from score links and survey tools.",
        "NPS_LINK_KEYS=k1:a-long-secret nps collector",
    )  # fmt: skip
    topics = command(
        "topics", servers.topics, "Create the topics, or say how they differ.", "NPS_PARTITIONS=12 nps topics"
    )
    topics.add_argument("--verify", action="store_true", help="only look, create nothing")
    command("migrate", servers.migrate, "Bring the ClickHouse tables and views up to date.", "nps migrate")
    send = command(
        "produce",
        tools.produce,
        "Send JSON lines to a topic.",
        "nps produce --topic purchases --rebase now orders.jsonl",
    )
    send.add_argument("file", help="JSON lines; - for standard input")
    send.add_argument("--topic", choices=sorted(TOPICS), help="for lines without a field 'topic'")
    send.add_argument("--history", action="store_true", help="these events are history: ask however late it is by now")
    send.add_argument("--rebase", choices=["now"], help="shift the history so that its last event happens now")
    query = command("query", tools.query, "Ask ClickHouse and print a table.", 'nps query "SELECT * FROM nps_current"')
    query.add_argument("sql", help="one SELECT")
    reason = command(
        "why",
        ledger.why,
        "Tell one customer's story: triggers, decisions and why, surveys, answers, alerts.",
        "nps why C123",
    )
    reason.add_argument("customer", help="customer_id")
    dead = command(
        "deadletters", tools.deadletters, "List what could not be used, and why.", "nps deadletters list --last 20"
    )
    dead.add_argument("action", choices=["list"])
    dead.add_argument("--last", type=int, default=50, metavar="N", help="only the newest N (default 50)")
    trial = command(
        "rehearse",
        rehearsal.run,
        "Replay the history through another program file and print what would change.  Sends nothing.",
        "nps rehearse --program new.toml --from 2026-01-01",
    )
    trial.add_argument("--program", required=True, metavar="FILE", help="the program file to try")
    trial.add_argument("--from", dest="since", metavar="TIME", help="count only what was decided since (default: all)")
    command("config", tools.config, "Show every setting, its value and meaning, and the program.", "nps config")
    return parser


if __name__ == "__main__":
    main()
