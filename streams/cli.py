"""Command line of `nps`.  With `streams.commands` and `streams.local` alone it knows both streams and sinks.

Exit codes: 0 done; 2 wrong settings, program or arguments; the others are in `streams.errors`.

A command's modules are loaded when it runs: all of them together take a second and 70 MiB.
"""

import argparse
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from schemas.display import nearest, printable, without_passwords
from schemas.topics import INBOUND, WAKEUPS

EVENTS = sorted(topic.name.removeprefix("nps.") for topic in INBOUND if topic is not WAKEUPS)
"""Short names of the topics that `nps produce` may write to."""


INTERRUPTED = 130
"""Exit code after Ctrl-C, as `streams.errors` has it, which is not loaded yet."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments, run one command and exit with its code; errors fit one line."""
    interrupts = signal.getsignal(signal.SIGINT)
    if interrupts is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop_at_once)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal's own encoding may lack a customer's letters
    parsed = _parse(arguments)
    module, _, name = parsed.run.partition(".")
    function = getattr(import_module(f"streams.commands.{module}"), name)
    signal.signal(signal.SIGINT, interrupts)
    end_with(lambda: function(parsed))


def _stop_at_once(*_: object) -> NoReturn:
    """End on Ctrl-C while modules are loaded: nothing is under way, and an exception there may be swallowed."""
    os.write(2, b"nps: stopped\n")
    os._exit(INTERRUPTED)


def end_with(run: Callable[[], int]) -> NoReturn:
    """Run a function and end the process with its exit code; an error that was foreseen is printed in one line."""
    try:
        code = run()
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:  # whoever read our output has enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except (Exception, KeyboardInterrupt) as error:
        from streams.errors import ExitCode, exit_code

        if (code := exit_code(error)) is ExitCode.UNEXPECTED:
            raise
        text = "stopped" if isinstance(error, KeyboardInterrupt) else printable(without_passwords(str(error)))
        print(f"nps: {text}", file=sys.stderr)  # noqa: T201
        sys.exit(code)


class OneLineParser(argparse.ArgumentParser):
    """Parser whose complaint is one line: the fault, the nearest right word, and where help is."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and the complaint."""
        if wrong := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            suggestion = nearest(wrong[1], re.findall(r"[\w-]+", wrong[2]))
            message = message.replace(f" (choose from {wrong[2]})", suggestion) if suggestion else message
        self.exit(2, f"nps: {printable(message)}; see `{self.prog} --help`\n")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parsed, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options = re.findall(r"--[\w-]+", parsed.parser.format_help())
        parsed.parser.error(f"unrecognized arguments: {' '.join(unknown)}{nearest(unknown[0], options)}")
    return parsed


class _PrintVersion(argparse.Action):
    """Option that prints the installed version and exits.  It is read only when asked for: that takes 20 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"nps {version('nps-pipeline')}")  # noqa: T201
        parser.exit()


class _Commands:
    """Parsers of the commands, each with an example in its help."""

    def __init__(self, parser: argparse.ArgumentParser, *, required: bool = True) -> None:
        self._parsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=required)

    def add(self, name: str, run: str, text: str, example: str) -> argparse.ArgumentParser:
        """Add the parser of a command; `run` names its module in `streams.commands` and the function."""
        command = self._parsers.add_parser(name, help=text, description=text, epilog=f"example: {example}")
        command.set_defaults(run=run, parser=command)
        return command

    def group(self, name: str, text: str, example: str) -> "_Commands":
        """Add a command that has commands of its own."""
        command = self._parsers.add_parser(name, help=text, description=text, epilog=f"example: {example}")
        command.set_defaults(parser=command)
        return _Commands(command)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="nps",
        description="Real-time NPS: events trigger surveys, answers become rolling NPS, alerts and ClickHouse rows.",
        epilog="Settings come from NPS_* variables; `nps config` shows them.  Start with: nps demo",
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version and exit")
    commands = _Commands(parser)
    _add_stack(commands)
    _add_services(commands)
    _add_sources(commands)
    _add_setup(commands)
    _add_tools(commands)
    return parser


def _add_stack(commands: _Commands) -> None:
    text = "Run the whole pipeline for a while and prove its numbers."
    demo = commands.add("demo", "servers.demo", text, "nps demo --for 60s")
    demo.add_argument("--for", dest="seconds", default="60s", metavar="60s", help="how long to live after the history")
    demo.add_argument("--stay", action="store_true", help="keep everything running afterwards, until Ctrl-C")
    text = "Run the whole pipeline on this machine until Ctrl-C."
    up = commands.add("up", "servers.up", text, "nps up --data ./data")
    up.add_argument("--data", default="data", metavar="FOLDER", help="where ClickHouse keeps its data, default ./data")
    up.add_argument("--kafka-port", type=_port, default=9092, metavar="PORT", help="default 9092")
    up.add_argument("--clickhouse-port", type=_port, default=8123, metavar="PORT", help="default 8123")
    up.add_argument("--collector-port", type=_port, metavar="PORT", help="default 8090, or a free one if that is taken")
    up.add_argument("--page-port", type=_port, metavar="PORT", help="default 8091, or a free one if that is taken")


def _add_services(commands: _Commands) -> None:
    text = "Process events: surveys, answers, rolling NPS, alerts."
    commands.add("worker", "worker.run", text, "NPS_BROKERS=kafka:9092 nps worker")
    commands.add("sink", "sinks.sink", "Load the output topics into ClickHouse.", "NPS_BROKERS=kafka:9092 nps sink")
    text = "Tell the program file's receivers of incidents, or without any post alerts to a webhook or print them."
    notify = commands.add("notify", "sinks.notify", text, "nps notify test cx-pager")
    notify.add_argument("action", nargs="?", choices=["test"], help="send one marked test page, and print the answer")
    notify.add_argument("receiver", nargs="?", help="name of the receiver to test, as in [receivers.cx-pager]")
    notify.add_argument(
        "--customers", action="store_true", help="print customer and order also where the output is no terminal"
    )
    text = "Group alerts and falls into incidents; say who is told, and when again."
    commands.add("incidents", "incidents.run", text, "NPS_BROKERS=kafka:9092 nps incidents")
    _add_comments(commands)
    text = "Take answers from score links and survey tools, and webhooks of other systems."
    commands.add("collector", "collector.run", text, "NPS_LINK_KEYS=k1:a-long-secret nps collector")
    text = "Show the live page: scores, falls, incidents and the pipeline's health, as they change."
    commands.add("page", "page.run", text, "NPS_PAGE_PORT=8091 nps page")

    text = "Print the link of a survey that was sent."
    link = commands.add("link", "links.run", text, "nps link 8e3bbfc3-efef-547e-9533-e83128c2d5db")
    link.add_argument("survey", nargs="?", help="survey_id")
    link.add_argument("--follow", action="store_true", help="all surveys instead, and each new one, until Ctrl-C")


def _add_comments(commands: _Commands) -> None:
    text = "Judge comments as answers come: themes and sentiment."
    actions = commands.add("comments", "comments.run", text, "NPS_BROKERS=kafka:9092 nps comments")
    inner = _Commands(actions, required=False)
    text = "Learn the sentiment from your own answers in ClickHouse, and print how right it is."
    fit = inner.add("fit", "comments.fit", text, "nps comments fit --out comments.model")
    fit.add_argument("--out", required=True, metavar="FILE", help="where to write the model")
    fit.add_argument("--limit", type=int, default=100_000, metavar="N", help="the newest N comments (default 100000)")


def _add_sources(commands: _Commands) -> None:
    text = "Turn foreign records into events by mapping files; deploy/SOURCES.md explains them."
    sources = commands.group("sources", text, "nps sources test shop.toml order.json")
    text = "Print what sample records become, or why nothing."
    test = sources.add("test", "sources.test", text, "nps sources test shop.toml order.json")
    test.add_argument("file", help="mapping file")
    test.add_argument("sample", nargs="+", help="file with a record; NAME.meta.json beside it holds headers and key")
    test.add_argument("--expect", action="store_true", help="compare with NAME.expected.json; exit 1 on a difference")
    text = "Print the draft of a mapping file from a sample record."
    new = sources.add("new", "sources.new", text, "nps sources new shop order.json > shop.toml")
    new.add_argument("name", help="name of the source")
    new.add_argument("sample", help="file with a record")
    text = "Map foreign topics, each to its events, until told to stop."
    run = sources.add("run", "sources.run", text, "NPS_BROKERS=kafka:9092 nps sources run shop.toml")
    run.add_argument("file", nargs="+", help="mapping files")
    text = "Load a history of foreign records, judged by the events' own times."
    load = sources.add("load", "sources.load", text, "nps sources load shop.toml orders.jsonl")
    load.add_argument("file", help="mapping file")
    load.add_argument("data", help="JSON lines, or CSV with a header line")
    load.add_argument("--skip", action="store_true", help="leave out records that cannot be mapped")
    text = "Print how far sources are behind their topics."
    lag = sources.add("lag", "sources.lag", text, "nps sources lag shop.toml")
    lag.add_argument("file", nargs="+", help="mapping files")


def _add_setup(commands: _Commands) -> None:
    text = "Create the topics, or say how they differ."
    topics = commands.add("topics", "servers.topics", text, "NPS_PARTITIONS=12 nps topics")
    topics.add_argument("--verify", action="store_true", help="only look, create nothing")
    text = "Bring the ClickHouse tables and views up to date."
    migrate = commands.add("migrate", "servers.migrate", text, "nps migrate")
    migrate.add_argument("--roles", action="store_true", help="make nps_reader and nps_personal too, as administrator")


def _add_tools(commands: _Commands) -> None:
    text = "Send JSON lines to a topic."
    produce = commands.add("produce", "produce.run", text, "nps produce --topic purchases --rebase now orders.jsonl")
    produce.add_argument("file", help="JSON lines; - for standard input, each line sent as it comes")
    produce.add_argument("--topic", choices=EVENTS, help="for lines without a field 'topic'")
    produce.add_argument(
        "--history",
        action="store_true",
        help="judge lateness by the events' own times, and ask however late it is by now",
    )
    produce.add_argument("--rebase", choices=["now"], help="shift the history so that its last event happens now")
    text = "Ask ClickHouse and print a table."
    query = commands.add("query", "tools.query", text, 'nps query "SELECT * FROM nps_current"')
    query.add_argument("sql", help="one statement; nothing is changed without --write")
    query.add_argument("--format", choices=["table", "csv", "json"], default="table", help="json: an object a line")
    query.add_argument("--write", action="store_true", help="let the statement change data and tables")
    text = "Tell one customer's story: triggers, decisions and why, surveys, answers, alerts."
    why = commands.add("why", "why.run", text, "nps why C123")
    why.add_argument("customer", help="customer_id")
    _add_deadletters(commands)
    text = "Check that Avro schemas read all that older versions wrote, and lose nothing of it."
    schemas = commands.add("schemas", "schemas.check", text, "nps schemas check purchase.v2.avsc")
    schemas.add_argument("action", choices=["check"])
    schemas.add_argument(
        "files", nargs="*", metavar="FILE", help="the new version, alone or after all older ones (default: what ships)"
    )
    text = "Replay the history through another program file and print what would change.  Sends nothing."
    rehearse = commands.add("rehearse", "rehearse.run", text, "nps rehearse --program new.toml --from 2026-01-01")
    rehearse.add_argument("--program", required=True, metavar="FILE", help="the program file to try")
    rehearse.add_argument(
        "--from", dest="since", metavar="TIME", help="count only what was decided since (default: all)"
    )
    text = (
        "Decide everything anew from what Kafka keeps, into tables beside those in force, and compare.  "
        "Sends nothing; exits with 1 when something differs."
    )
    rebuild = commands.add("rebuild", "rebuild.run", text, "nps rebuild --program new.toml")
    rebuild.add_argument("--program", metavar="FILE", help="by another program file than that which decides now")
    ends = rebuild.add_mutually_exclusive_group()
    ends.add_argument("--adopt", action="store_true", help="put the rebuilt tables in place of those in force")
    ends.add_argument(
        "--drop", action="store_true", help="drop the rebuilt tables, or those that were replaced by them"
    )
    commands.add("config", "tools.config", "Show every setting, its value and meaning, and the program.", "nps config")


def _add_deadletters(commands: _Commands) -> None:
    text = "List what could not be used and why, put it back once the cause is mended, or drop it."
    actions = _Commands(commands.add("deadletters", "deadletters.list_letters", text, "nps deadletters list --last 20"))
    text = "List the newest dead letters and what was done with each."
    listed = actions.add("list", "deadletters.list_letters", text, "nps deadletters list --reason too_late")
    listed.add_argument("--last", type=int, default=50, metavar="N", help="only the newest N (default 50)")
    text = "Show dead letters whole, with all that was done with them."
    shown = actions.add("show", "deadletters.show_letters", text, "nps deadletters show --offsets 17")
    shown.add_argument("--format", choices=["text", "json"], default="text", help="json: lines for redrive --edited")
    text = "Put dead letters back where they lay, with key, headers and Kafka timestamp; foreign ones as their events."
    redriven = actions.add("redrive", "deadletters.redrive", text, "nps deadletters redrive --reason unknown_schema")
    redriven.add_argument("--edited", metavar="FILE", help="put corrected lines of `show --format json` in their place")
    redriven.add_argument(
        "--mapping", action="append", default=[], metavar="FILE",
        help="a source's mapping file, through which the letters of its foreign topic go; once for each source",
    )  # fmt: skip
    redriven.add_argument("--as-history", action="store_true", help="ask for surveys however late it is by now")
    text = "Give dead letters up: they stay to be seen, and are put back no more."
    dropped = actions.add("drop", "deadletters.drop", text, "nps deadletters drop --topic purchases --until 2026-01-31")
    for action in (listed, shown, redriven, dropped):
        _add_selection(action)
    for action in (listed, shown):
        action.add_argument("--state", choices=["waiting", "redriven", "dropped"], help="only those in this state")
    shown.add_argument("--limit", type=int, metavar="N", help="at most N letters (default 20, of JSON lines 10000)")
    for action in (redriven, dropped):
        action.add_argument("--limit", type=int, default=1_000, metavar="N", help="at most N letters (default 1000)")
    for action in (redriven, dropped):
        action.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _add_selection(action: argparse.ArgumentParser) -> None:
    """Add the options that choose letters: all that are given must hold, and one given more than once for any."""
    action.add_argument("--reason", action="append", default=[], metavar="WORD", help="reason of the death")
    action.add_argument("--topic", action="append", default=[], help="topic on which it lay, as purchases")
    action.add_argument("--source", action="append", default=[], help="source of the event that died")
    action.add_argument("--since", metavar="TIME", help="died at this time or later")
    action.add_argument("--until", metavar="TIME", help="died before this time")
    action.add_argument("--offsets", metavar="A-B", help="numbers of letters, as list shows them: 17, 17-25 or 17-")


def _port(text: str) -> int:
    if not (re.fullmatch("[0-9]{1,5}", text) and 1 <= int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"must be a port, 1 to 65535, not {text!r}")
    return int(text)


if __name__ == "__main__":
    main()
