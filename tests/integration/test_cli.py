"""`nps` as a person meets it: what is wrong is said in one line, with where and what to do; `nps up` keeps data.

Each command is a real process; whatever it says on stderr counts, the Kafka client's own words too.
"""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.deadletters import Death, wrap
from schemas.topics import DEAD_LETTERS, TOPICS
from streams.local.servers import HOST, free_port, local_broker, local_clickhouse
from tests.support.commands import BOUND_S, Service, argv, clean, done, run, until
from tests.support.programs import program

COMMANDS = (
    "demo", "up", "worker", "sink", "notify", "incidents", "comments", "collector", "page", "link", "sources", "topics",
    "migrate", "produce", "query", "why", "deadletters", "schemas", "rehearse", "rebuild", "config",
)  # fmt: skip
PURCHASE = (
    '{"topic": "purchases", "source": "shop", "id": "1", "type": "order.delivered", '
    f'"time": {time.time_ns() // 1_000_000 - 86_400_000}, "customer_id": "C1", "order_id": "O1"}}\n'
)
NOBODY = "127.0.0.1:1"
TALKS_TO_KAFKA = {
    "worker": ["worker"],
    "sink": ["sink"],
    "notify": ["notify"],
    "comments": ["comments"],
    "topics": ["topics"],
    "produce": ["produce", "-"],
    "deadletters": ["deadletters", "list"],
}
TALKS_TO_CLICKHOUSE = {"sink": ["sink"], "migrate": ["migrate"], "query": ["query", "SELECT 1"]}


@pytest.fixture(scope="module")
def empty() -> Iterator[dict[str, str]]:
    """A broker without any topic."""
    with local_broker() as broker:
        yield {"NPS_BROKERS": broker.address, "NPS_SERVER_WAIT_S": "10"}


@pytest.fixture(scope="module")
def topics() -> Iterator[dict[str, str]]:
    """A broker with all topics."""
    with local_broker() as broker:
        environ = {"NPS_BROKERS": broker.address, "NPS_PARTITIONS": "3", "NPS_SERVER_WAIT_S": "10"}
        done("topics", environ=environ)
        yield environ


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A ClickHouse whose database nps has the tables."""
    with local_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
        environ = {"NPS_CLICKHOUSE_URL": f"{server.address}/nps", "NPS_SERVER_WAIT_S": "10"}
        done("migrate", environ=environ)
        yield environ


# help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    """`--help` describes the command and shows one call of it."""
    said = done(command, "--help", environ={})
    assert re.search(rf"^example: .*nps {command}\b", said, re.MULTILINE), said


def test_help_lists_every_command() -> None:
    """None is hidden, and the first thing to try is named."""
    said = done("--help", environ={})
    listed = re.findall(r"^    (\w+)(?:  +\S|$)", said, re.MULTILINE)
    assert tuple(listed) == COMMANDS
    assert "Start with: nps demo" in " ".join(said.split())


def test_the_version_is_the_one_installed() -> None:
    """One line, and it is the version that pyproject.toml declares."""
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["version"]
    assert done("--version", environ={}) == f"nps {declared}\n"


def test_help_loads_no_library() -> None:
    """What makes `nps --help` answer in a tenth of a second: Kafka, ClickHouse and metadata are loaded when needed."""
    code = "import atexit, sys, streams.cli; atexit.register(lambda: print(*sys.modules)); streams.cli.main(['--help'])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=BOUND_S)
    loaded = set(shown.stdout.rpartition("\n\n")[2].split())
    assert "streams.cli" in loaded
    assert not loaded & {"confluent_kafka", "faust", "aiohttp", "clickhouse_connect", "msgspec", "importlib.metadata"}


def test_an_unknown_command_is_refused() -> None:
    """One line, the name, the one that was meant, and exit code 2."""
    said = one_line(run("wroker"), 2)
    assert "invalid choice: 'wroker'" in said
    assert "did you mean 'worker'?" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["conifg"], "did you mean 'config'?"),
        (["xyzzy"], "invalid choice: 'xyzzy' (choose from"),
        (["produce", "--topic", "purchase", "-"], "did you mean 'purchases'?"),
        (["query", "--fromat", "csv", "SELECT 1"], "did you mean '--format'?"),
        (["query", "--format", "jsno", "SELECT 1"], "did you mean 'json'?"),
        (["up", "--kafka-port", "70000"], "argument --kafka-port: must be a port, 1 to 65535, not '70000'"),
        (["up", "--clickhouse-port", "-1"], "argument --clickhouse-port: must be a port, 1 to 65535, not '-1'"),
        (["up", "--kafka-port", "0"], "must be a port, 1 to 65535, not '0'"),
        (["up", "--kafka-port", "99999999999999999999"], "must be a port, 1 to 65535"),
        (["up", "--kafka-port", "\u0663"], "must be a port, 1 to 65535"),
        (["up", "--data", "/dev/null"], "--data /dev/null: no folder can be made there (File exists)"),
        (["up", "--data", "/dev/null/data"], "--data /dev/null/data: no folder can be made there (Not a directory)"),
        (["up", "--data", "x" * 300], "no folder can be made there (File name too long)"),
        (["query"], "the following arguments are required: sql"),
        (["query", "\x1b[2J", "--wat\x1b[2J"], "unrecognized arguments: --wat\\x1b[2J"),
        (["demo", "--for", "soon"], "--for: "),
        (["deadletters", "list", "--last", "9" * 20], "--last must be 1 to 10000"),
    ],
)
def test_wrong_arguments_are_one_line(words: list[str], says: str) -> None:
    """No traceback and no page of usage: the fault, and the word that was meant where one is like it."""
    said = one_line(run(*words), 2)
    assert says in said
    assert said.isprintable()


@pytest.mark.parametrize(
    "brokers", ["PLAINTEXT://host", "kafka:9092,SSL://b:1", "kafka:65536", "kafka:port", "a b:1", "[::1", "kafka:9092,"]
)
def test_brokers_that_are_none_are_named(brokers: str) -> None:
    """An address with a scheme, and a port that is none."""
    said = one_line(run("topics", environ={"NPS_BROKERS": brokers}), 2)
    assert said.startswith("nps: NPS_BROKERS must be host:port, several separated by commas, not ")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_output_never_fails_on_encoding(clickhouse: dict[str, str], encoding: str) -> None:
    """Whatever a terminal cannot write is written out, in help, tables and complaints."""
    environ = {**clickhouse, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    said = done("query", "SELECT '😀 Ж' AS text", environ=environ)
    assert "\\U0001f600 \\u0416" in said
    assert "nps: ClickHouse at" in one_line(run("query", "SELECT 'Ж' AS", environ=environ), 2)


# settings and program


@pytest.mark.parametrize(("command"), ["worker", "sink", "topics", "up"])
def test_an_unknown_setting_is_refused_before_connecting(command: str) -> None:
    """A typo in the environment is named with the setting that it is like, nobody is asked for."""
    ended = run(command, environ={"NPS_BROKER": NOBODY})
    assert (
        one_line(ended, 2) == "nps: NPS_BROKER is no setting, did you mean 'NPS_BROKERS'?; `nps config` lists them all"
    )
    ended = run(command, environ={"NPS_XYZZY": "1"})
    assert one_line(ended, 2) == "nps: NPS_XYZZY is no setting; `nps config` lists them all"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("NPS_BROKER", "kafka:9092", "NPS_BROKER is no setting, did you mean 'NPS_BROKERS'?"),
        ("NPS_PARTITIONS", "six", "NPS_PARTITIONS must be a whole number, not 'six'"),
        ("NPS_KAFKA_SASL_PASSWORD", "hunter2", None),
        ("NPS_CLICKHOUSE_URL", "nps:hunter2@clickhouse:8123", "NPS_CLICKHOUSE_URL must look like"),
        ("NPS_KAFKA_SECURITY_PROTOCOL", "SASL", "Kafka settings: "),
    ],
)
def test_config_works_with_a_wrong_setting(name: str, text: str, says: str | None) -> None:
    """Whoever has a setting wrong sees them all as they are, the rules too, and then what is wrong; no secret."""
    ended = run("config", environ={name: text, "NPS_GROUP": "shop"})
    assert re.search(r"NPS_GROUP +│ shop ", ended.stdout)
    assert re.search(r"after-delivery +│ delivery +│ order\.delivered +│ 3d +│ 30d +│ order\.returned", ended.stdout)
    assert "hunter2" not in ended.stdout + ended.stderr
    lines = ended.stderr.splitlines()
    assert (ended.returncode, len(lines)) == ((0, 0) if says is None else (2, 1)), ended
    assert says is None or lines[0].startswith(f"nps: {says}")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("NPS_PARTITIONS", "six", "NPS_PARTITIONS must be a whole number, not 'six'"),
        ("NPS_FUSE_RATIO", "7", "NPS_FUSE_RATIO must be 0 to 1"),
        ("NPS_CLICKHOUSE_URL", "http://127.0.0.1:port/nps", "NPS_CLICKHOUSE_URL must look like "),
        ("NPS_CLICKHOUSE_URL", "clickhouse:8123", "NPS_CLICKHOUSE_URL must look like "),
    ],
)
def test_a_wrong_value_is_refused_before_connecting(name: str, text: str, says: str) -> None:
    """The setting is named with what it must be."""
    ended = run("worker", environ={name: text, "NPS_BROKERS": NOBODY})
    assert one_line(ended, 2).startswith(f"nps: {says}")


@pytest.mark.parametrize(
    ("command", "was", "becomes", "says"),
    [
        ("worker", 'delay = "3d"', 'delay = "3 days"', "'3 days' is no duration"),
        ("worker", "minimum_n = 30", "minimum_n = thirty", "Invalid value"),
        ("up", 'delay = "3d"', 'dealy = "3d"', "there is no key 'dealy' here, did you mean 'delay'?"),
        ("config", 'delay = "3d"', 'dealy = "3d"', "there is no key 'dealy' here, did you mean 'delay'?"),
    ],
)
def test_a_typo_in_the_program_is_named_by_file_and_line(
    tmp_path: Path, command: str, was: str, becomes: str, says: str
) -> None:
    """One line with file and line, exit code 2, before any server is asked for or started."""
    shipped = (Path(__file__).parents[2] / "streams" / "nps.toml").read_text()
    file = tmp_path / "shop.toml"
    file.write_text(shipped.replace(was, becomes, 1))
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if becomes in text)
    words = ["up", "--data", str(tmp_path / "data")] if command == "up" else [command]
    ended = run(*words, environ={"NPS_PROGRAM": str(file), "NPS_BROKERS": NOBODY})
    said = one_line(ended, 2)
    assert re.match(rf"nps: {re.escape(str(file))}:{line}\b", said), said
    assert says in said


def test_a_program_that_is_not_there_is_named() -> None:
    """The path and the setting that leads to it."""
    said = one_line(run("worker", environ={"NPS_PROGRAM": "/no/such.toml"}), 2)
    assert said == "nps: /no/such.toml: cannot be read (No such file or directory); set NPS_PROGRAM to a program file"


def test_config_shows_every_setting_and_no_secret() -> None:
    """Values are what the environment says, passwords are masked, the program is named with its hash."""
    said = done(
        "config",
        environ={
            "NPS_PARTITIONS": "48",
            "NPS_KAFKA_SASL_PASSWORD": "hunter2",
            "NPS_CLICKHOUSE_URL": "https://nps:hunter2@ch.example:8443/nps",
            "NPS_WEBHOOK_URL": "https://hooks.example/hunter2",
            "NPS_WEBHOOK_SECRET": "hunter2",
        },
    )
    assert "hunter2" not in said
    assert re.search(r"NPS_PARTITIONS +│ 48 ", said)
    assert re.search(r"NPS_CLICKHOUSE_URL +│ https://\*\*\*@ch\.example:8443", said)
    assert re.search(r"NPS_KAFKA_SASL_PASSWORD +│ \*\*\* ", said)
    assert re.search(r"^program nps\.toml \(as shipped\), hash [0-9a-f]{12}, 2 rules$", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "NPS_WEBHOOK_SECRET is needed with NPS_WEBHOOK_URL"),
        ({"NPS_WEBHOOK_SECRET": "hunter2"}, "NPS_WEBHOOK_SECRET has a key of 7 bytes, but 24 or more are needed"),
        ({"NPS_WEBHOOK_SECRET": "whsec_hunter2!"}, "NPS_WEBHOOK_SECRET must be base64 after whsec_"),
        ({"NPS_WEBHOOK_SECRET": "x" * 24, "NPS_WEBHOOK_URL": "https://a:hunter2@h/"}, "NPS_WEBHOOK_URL must look like"),
    ],
)
def test_a_webhook_that_cannot_work_is_refused_before_connecting(environ: dict[str, str], says: str) -> None:
    """A receiver without a secret, or with one too weak to sign, is named and not repeated."""
    ended = run("notify", environ={"NPS_WEBHOOK_URL": "https://h/", "NPS_BROKERS": NOBODY, **environ})
    said = one_line(ended, 2)
    assert said.startswith(f"nps: {says}")
    assert "hunter2" not in said


# servers that are not there


@pytest.mark.parametrize("command", TALKS_TO_KAFKA)
def test_a_broker_that_is_not_there_is_named(command: str) -> None:
    """One line with host and port and what to do, after the wait, and nothing from the Kafka client."""
    environ = {"NPS_BROKERS": NOBODY, "NPS_SERVER_WAIT_S": "1"}
    ended = run(*TALKS_TO_KAFKA[command], environ=environ, given=PURCHASE)
    said = one_line(ended, 3)
    assert f"cannot reach Kafka at {NOBODY} after 1 s: start it or set NPS_BROKERS" in said


@pytest.mark.parametrize("command", TALKS_TO_CLICKHOUSE)
def test_a_clickhouse_that_is_not_there_is_named(topics: dict[str, str], command: str) -> None:
    """The same for ClickHouse; its password is not in the line."""
    url = f"http://nps:hunter2@{NOBODY}/nps"
    environ = {**topics, "NPS_CLICKHOUSE_URL": url, "NPS_SERVER_WAIT_S": "1"}
    said = one_line(run(*TALKS_TO_CLICKHOUSE[command], environ=environ), 3)
    assert said == f"nps: cannot reach ClickHouse at {NOBODY} after 1 s: start it or set NPS_CLICKHOUSE_URL"


@pytest.mark.parametrize("command", [name for name in TALKS_TO_KAFKA if name != "topics"])
def test_missing_topics_are_named(empty: dict[str, str], command: str) -> None:
    """The first missing topic and the command that makes it; nothing is made on the way."""
    said = one_line(run(*TALKS_TO_KAFKA[command], environ=empty, given=PURCHASE), 2)
    assert re.search(r"nps\.[a-z-]+.* (is missing|does not exist): run nps topics$", said), said
    client = AdminClient({"bootstrap.servers": empty["NPS_BROKERS"], "log_level": 0})
    assert not client.list_topics(timeout=BOUND_S).topics.keys() & {topic.name for topic in TOPICS}


def test_topics_that_do_not_fit_together_stop_the_worker() -> None:
    """One topic with another number of partitions is named before anything is read."""
    with local_broker() as broker:
        client = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
        made = client.create_topics([NewTopic("nps.purchases", 2, 1)])
        made["nps.purchases"].result(10)
        environ = {"NPS_BROKERS": broker.address, "NPS_PARTITIONS": "3"}
        ended = run("topics", environ=environ)
        assert ended.returncode == 2
        assert (
            "nps.purchases: has 2 partitions, expected 3: their number is for life, set NPS_PARTITIONS=2"
            in ended.stdout
        )
        said = one_line(run("worker", environ=environ), 2)
        assert "need the same number of partitions" in said
        assert "nps.purchases has 2" in said


def test_verify_looks_and_makes_nothing(empty: dict[str, str]) -> None:
    """`nps topics --verify` lists what is missing and exits with 2."""
    ended = run("topics", "--verify", environ=empty)
    assert (ended.returncode, ended.stderr) == (2, "")
    assert ended.stdout.count("is missing: run nps topics") == len(TOPICS)


def test_topics_may_be_made_again(topics: dict[str, str]) -> None:
    """A second run makes nothing and says that all is well."""
    assert done("topics", environ=topics) == "topics are as they should be\n"
    assert done("topics", "--verify", environ=topics) == "topics are as they should be\n"


def test_a_taken_metrics_port_is_named(topics: dict[str, str]) -> None:
    """A service that cannot serve its metrics says where and which setting to change."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        said = one_line(run("worker", environ={**topics, "NPS_METRICS_PORT": str(port)}), 2)
    assert said == f"nps: cannot serve metrics at {HOST}:{port} (Address already in use): change NPS_METRICS_PORT"


# ClickHouse


def test_before_the_first_migration_a_query_says_what_to_run(clickhouse: dict[str, str]) -> None:
    """Unknown database: run nps migrate."""
    environ = {**clickhouse, "NPS_CLICKHOUSE_URL": clickhouse["NPS_CLICKHOUSE_URL"].replace("/nps", "/fresh")}
    assert one_line(run("query", "SELECT * FROM answers", environ=environ), 2).endswith(": run `nps migrate`")


def test_migrating_twice_applies_once(clickhouse: dict[str, str]) -> None:
    """The second run finds nothing to do."""
    environ = {**clickhouse, "NPS_CLICKHOUSE_URL": clickhouse["NPS_CLICKHOUSE_URL"].replace("/nps", "/twice")}
    assert done("migrate", environ=environ) == "applied 0001_tables.sql, views\n"
    assert done("migrate", environ=environ) == "nothing to apply\n"


def test_a_query_prints_a_table(clickhouse: dict[str, str]) -> None:
    """Names and values, whatever is in them, and nothing is cut when the output is not a terminal."""
    long = "x" * 300
    said = done(
        "query", f"SELECT 1 AS one, '[/b] :smile: é' AS text, '{long}' AS long, NULL AS none", environ=clickhouse
    )
    assert re.search(r"┃ one ┃ text +┃ long +┃ none ┃", said)
    assert re.search(rf"│ 1 +│ \[/b\] :smile: é │ {long} │ None │", said)


@pytest.mark.parametrize("form", ["table", "csv", "json"])
@pytest.mark.parametrize(
    "sql",
    [
        "drop table answers", "TRUNCATE TABLE decisions", "INSERT INTO alerts (alert_id) VALUES ('x')",
        "INSERT INTO alerts (alert_id) SELECT 'x'", "ALTER TABLE answers UPDATE score = 1 WHERE 1",
        "CREATE TABLE mine (x Int8) ENGINE = Memory", "DROP DATABASE nps", "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 INTO OUTFILE '{folder}/x'",
    ],
)  # fmt: skip
def test_a_query_changes_nothing(clickhouse: dict[str, str], tmp_path: Path, sql: str, form: str) -> None:
    """Unless asked for, in whatever form the answer is wanted."""
    said = one_line(run("query", "--format", form, sql.format(folder=tmp_path), environ=clickhouse), 2)
    assert "OUTFILE" in sql or form == "table" or "--write" in said or "Syntax error" in said
    assert list(tmp_path.iterdir()) == []
    state = "SELECT groupArray(name) AS tables, (SELECT count() FROM alerts) AS rows FROM system.tables "
    told = done("query", "--format", "json", f"{state} WHERE database = 'nps'", environ=clickhouse)
    found = json.loads(told)
    assert {"answers", "decisions", "alerts"} <= set(found["tables"])
    assert ("mine" in found["tables"], int(found["rows"])) == (False, 0)


def test_a_query_may_write_when_asked_to_and_migrate_notices(clickhouse: dict[str, str]) -> None:
    """`--write` drops a table and a view; `nps migrate` says so and makes them anew, once."""
    environ = {**clickhouse, "NPS_CLICKHOUSE_URL": clickhouse["NPS_CLICKHOUSE_URL"].replace("/nps", "/dropped")}
    done("migrate", environ=environ)
    done("query", "--write", "DROP TABLE answers", environ=environ)
    done("query", "--write", "DROP VIEW ledger", environ=environ)
    said = done("migrate", environ=environ)
    assert "answers, ledger had been dropped and are there again" in said
    assert done("query", "SELECT * FROM answers", environ=environ) == "no rows\n"
    assert done("query", "SELECT * FROM ledger", environ=environ) == "no rows\n"
    assert done("migrate", environ=environ) == "nothing to apply\n"


def test_a_query_has_formats_for_programs(clickhouse: dict[str, str]) -> None:
    """CSV with a header, JSON an object a line, both as they are; without rows a header, and nothing."""
    sql = "SELECT 1 AS n, 'é,\\x1b[2J\\n' AS text"
    rows = list(csv.reader(io.StringIO(done("query", "--format", "csv", sql, environ=clickhouse))))
    assert rows == [["n", "text"], ["1", "é,\x1b[2J\n"]]
    lines = done("query", "--format", "json", sql, environ=clickhouse).splitlines()
    assert [json.loads(line) for line in lines] == [{"n": 1, "text": "é,\x1b[2J\n"}]
    assert done("query", "--format", "csv", "SELECT 1 AS n WHERE 0", environ=clickhouse) == '"n"\n'
    assert done("query", "--format", "json", "SELECT 1 AS n WHERE 0", environ=clickhouse) == ""


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_terminal_shows_every_value_and_obeys_none(clickhouse: dict[str, str], columns: int, form: str) -> None:
    """A table that has no room becomes records; no line is wider than the terminal, no control character gets there."""
    wide = ", ".join(f"'value {number}' AS column_{number}" for number in range(12))
    sql = f"SELECT {wide}, '\\x1b[2J\\u202e\\x9b' AS nasty"
    said = at_a_terminal(["query", "--format", form, sql], clickhouse, columns)
    assert not set(said) & set("\x1b\x9b\u202e")
    assert all(f"value {number}" in said for number in range(12))
    if form == "table":
        assert all(len(line) <= columns for line in said.splitlines())
        assert re.search(r"^column_11 +value 11", said, re.MULTILINE)
    narrow = at_a_terminal(["query", "SELECT 1 AS one, 'x' AS two"], clickhouse, columns)
    assert "┃ one ┃ two ┃" in narrow


def test_a_reader_that_has_enough_is_no_error(clickhouse: dict[str, str]) -> None:
    """`nps query ... | head -1` ends without a word."""
    command = shlex.join(argv("query", "--format", "csv", "SELECT number FROM numbers(1000000)"))
    ended = subprocess.run(
        ["bash", "-c", f"{command} | head -1"], env=clean(clickhouse), capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ('"number"\n', "")


@pytest.mark.parametrize("sql", ["SELECT nonsense", "SELEC 1", ""])
def test_a_query_that_is_none_is_refused(clickhouse: dict[str, str], sql: str) -> None:
    """ClickHouse's complaint, in one line."""
    assert one_line(run("query", sql, environ=clickhouse), 2).startswith("nps: ClickHouse at 127.0.0.1:")


# dead letters


def test_dead_letters_are_listed_with_their_reasons(topics: dict[str, str]) -> None:
    """Time, reason, origin and detail of each; `--last` keeps the newest; what is no dead letter is listed too."""
    producer = Producer({"bootstrap.servers": topics["NPS_BROKERS"], "log_level": 0})
    for offset in (7, 8):
        death = Death("invalid_score", f"score {offset + 4} is not 0 to 10", "nps.responses", 2, offset, 1)
        headers: list[tuple[str, str | bytes | None]] = [*wrap([], death)]
        producer.produce(DEAD_LETTERS, b"12345", b"C1", headers=headers, timestamp=1_769_860_800_000)
    producer.produce(DEAD_LETTERS, b"stranger")
    forged: list[tuple[str, str | bytes | None]] = [
        *wrap([], Death("\x1b[2J", "cleared\x9b2J\r\n\u2028", "\ud7ff\x07", -1, -(2**80), 1))
    ]
    producer.produce(DEAD_LETTERS, None, headers=forged, timestamp=2**62)
    assert producer.flush(10) == 0
    said = done("deadletters", "list", environ=topics)
    assert not set(said) & set("\x1b\x9b\x07\r\u2028")
    assert "\\x1b[2J" in said
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in said.splitlines() if line.startswith("│")]
    moment = "2026-01-31 12:00:00"
    place = ["invalid_score", "nps.responses", "2"]
    assert rows[0] == ["0", moment, *place, "7", "5", "waiting", "score 11 is not 0 to 10"]
    assert rows[1] == ["1", moment, *place, "8", "5", "waiting", "score 12 is not 0 to 10"]
    assert rows[2][2:4] == ["unlabelled", DEAD_LETTERS]
    assert said.endswith("4 dead letters\n")
    newest = done("deadletters", "list", "--last", "2", environ=topics)
    assert "unlabelled" in newest
    assert "invalid_score" not in newest
    for last in ("0", "-1"):
        assert (
            one_line(run("deadletters", "list", "--last", last, environ=topics), 2) == "nps: --last must be 1 to 10000"
        )


# Ctrl-C


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_asked_to_stop_stops_well(topics: dict[str, str], tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end a running worker with 0, without a traceback."""
    with Service("worker", topics, tmp_path / "log") as worker:
        worker.until(lambda: "restored partitions=[0, 1, 2]" in worker.said(), "it had its partitions")
        assert worker.stop(number) == 0, worker.said()
        assert "Traceback" not in worker.said()


@pytest.mark.parametrize("command", ["sink", "topics", "worker"])
def test_ctrl_c_while_waiting_for_a_server(command: str, tmp_path: Path) -> None:
    """A command that still waits for Kafka ends long before its wait is over; at most one line says so."""
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        with Service(
            command, {"NPS_BROKERS": f"{HOST}:{port}", "NPS_SERVER_WAIT_S": f"{20 * BOUND_S:.0f}"}, tmp_path / "log"
        ) as waiting:
            silent.settimeout(BOUND_S)
            silent.accept()[0].close()
            assert waiting.stop(signal.SIGINT) in (0, 130), waiting.said()
            assert waiting.said() in ("", "nps: stopped\n")


def test_ctrl_c_while_reading_standard_input(topics: dict[str, str]) -> None:
    """`nps produce -` without input ends in one line, exit code 130."""
    command = [str(Path(sys.executable).with_name("nps")), "produce", "--topic", "purchases", "-"]
    # No terminal here: we are the one at the keyboard, once it has opened its input.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **topics}
    ) as reading:
        assert reading.stdin is not None
        assert reading.stderr is not None
        until(lambda: is_reading(reading.pid), "it reads its input")
        reading.send_signal(signal.SIGINT)
        assert reading.wait(BOUND_S) == 130
        assert reading.stderr.read() == "nps: stopped\n"


# nps up


def test_up_runs_everything_leaves_nothing_and_keeps_its_data(tmp_path: Path) -> None:
    """A purchase becomes a decision in ClickHouse; after Ctrl-C nothing runs; at the next start the row is there."""
    with up(tmp_path) as first:
        environ = environ_of(first)
        labels = set(re.findall(r"^(\w+) +\| ", first.said(), re.MULTILINE))
        assert labels <= {"worker", "sink", "notify", "incidents", "comments", "collector", "page"}
        assert done("produce", "-", environ=environ, given=PURCHASE.replace("delivered", "unheard_of"))
        until(lambda: decisions(environ) == ["1"], "the decision is in ClickHouse")
        children = descendants(first.process.pid)
        assert len(children) >= 7, "broker, ClickHouse, worker, sink, notifier, collector, links"
        assert first.stop(signal.SIGINT) == 0, first.said()
        assert not [pid for pid in children if is_alive(pid)]
        assert "Traceback" not in first.said()
    with up(tmp_path) as second:
        assert decisions(environ_of(second)) == ["1"]
        assert second.stop(signal.SIGTERM) == 0, second.said()


def test_up_prints_the_link_of_each_survey_and_links_outlive_it(tmp_path: Path) -> None:
    """The link that is printed is the one of `nps link`, it takes the answer, and opens after the next start, too."""
    (tmp_path / "nps.toml").write_text(program({"locales": ["de"]}))
    told = {"NPS_PROGRAM": str(tmp_path / "nps.toml")}
    with up(tmp_path, told) as first:
        environ = environ_of(first)
        for number in range(2):
            done(
                "produce",
                "-",
                environ=environ,
                given=PURCHASE.replace("C1", f"C{number}").replace('"1"', f'"{number}"'),
            )
        first.until(lambda: len(links_of(first)) == 2, "both links are printed")
        (survey, link), (other, _) = links_of(first)
        assert survey != other
        assert link.startswith(environ["NPS_COLLECTOR_URL"] + "/r/local.")
        assert link.endswith("?lang=de")
        assert done("link", survey, environ=environ) == f"{link}\n"
        away = {**environ, "NPS_COLLECTOR_URL": "https://nps.example.org/"}
        path = link.removeprefix(environ["NPS_COLLECTOR_URL"])
        assert done("link", survey, environ=away) == f"https://nps.example.org{path}\n"
        for wrong, says in ((["no-such-survey"], "no survey no-such-survey in nps.dispatches"), ([], "name one survey"),
                            ([survey, "--follow"], "name one survey")):  # fmt: skip
            assert says in one_line(run("link", *wrong, environ=environ), 2)
        assert "Sie uns Freunden" in opened(link)
        assert "Sie haben 9 von 10" in opened(f"{link}&score=9")
        answered = "SELECT score FROM answers FINAL"
        first.until(lambda: "9" in done("query", answered, environ=environ), "the answer is in ClickHouse")
        assert first.stop(signal.SIGTERM) == 0, first.said()
    key = tmp_path / "data" / "link-keys"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().strip() not in first.said()
    with up(tmp_path, told) as second:
        assert "Sie uns Freunden" in opened(environ_of(second)["NPS_COLLECTOR_URL"] + path)
        assert second.stop(signal.SIGTERM) == 0, second.said()


def links_of(running: Service) -> list[tuple[str, str]]:
    """The surveys and links that `nps up` printed."""
    return re.findall(r"^link +\| (\S+)  (http\S+)$", running.said(), re.MULTILINE)


def opened(url: str) -> str:
    """The page of a link, once the collector listens."""
    deadline = time.monotonic() + BOUND_S
    while True:
        try:
            with urlopen(url) as answer:
                text: str = answer.read().decode()
                return text
        except URLError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_up_closes_what_it_forgot(tmp_path: Path) -> None:
    """A survey that waits when it is stopped is suppressed as `forgotten` at the next start, which says so; once."""
    slow = tmp_path / "slow.toml"
    slow.write_text((Path(__file__).parents[2] / "streams" / "nps.toml").read_text())
    lines = "".join(PURCHASE.replace('"id": "1"', f'"id": "{number}"').replace("C1", f"C{number}") for number in (1, 2))
    outcomes = "SELECT outcome, reason, count() FROM decisions FINAL GROUP BY outcome, reason"
    with up(tmp_path, {"NPS_PROGRAM": str(slow)}) as first:
        assert "a stop forgets them" in first.said()
        environ = environ_of(first)
        assert done("topics", "--verify", environ=environ) == "topics are as they should be\n"
        done("produce", "-", environ=environ, given=lines)
        pending = '"outcome","reason","count()"\n"pending",\\N,2\n'
        until(lambda: done("query", "--format", "csv", outcomes, environ=environ) == pending, "both are pending")
        assert first.stop(signal.SIGINT) == 0, first.said()
    with up(tmp_path) as second:
        assert "2 that waited when it was stopped are not sent any more: suppressed as forgotten" in second.said()
        environ = environ_of(second)
        forgotten = '"outcome","reason","count()"\n"suppressed","forgotten",2\n'
        assert done("query", "--format", "csv", outcomes, environ=environ) == forgotten
        assert "forgotten - The local broker was started anew" in done("why", "C1", environ=environ)
        assert done("query", "SELECT * FROM ledger_audit", environ=environ) == "no rows\n"
        done("produce", "-", environ=environ, given=lines)  # told again, they are asked: this program does not wait
        sent = '"outcome","reason","count()"\n"sent",\\N,2\n'
        until(lambda: done("query", "--format", "csv", outcomes, environ=environ) == sent, "both are sent")
        assert second.stop(signal.SIGINT) == 0, second.said()


@pytest.mark.parametrize("file", ["epoch", "clickhouse"])
def test_up_names_a_folder_that_it_cannot_use(tmp_path: Path, file: str) -> None:
    """What lies there is something else: one line, no traceback, exit code 3."""
    (tmp_path / file).write_text("no number, no folder")
    ports = ["--kafka-port", str(free_port()), "--clickhouse-port", str(free_port())]
    assert str(tmp_path / file) in one_line(run("up", "--data", str(tmp_path), *ports), 3)


@pytest.mark.parametrize("after_s", [0, 0.2, 0.8])
@pytest.mark.parametrize("words", [["up"], ["demo"], ["worker"], ["query", "SELECT 1"], ["config"]])
def test_ctrl_c_in_the_first_second_is_one_line(tmp_path: Path, words: list[str], after_s: float) -> None:
    """While modules are loaded, servers start or connect: at most "stopped" on stderr, and nothing is left running.

    While Python itself ends, its handler of signals is gone, and the signal ends the process.
    """
    more = ["--data", str(tmp_path), "--kafka-port", str(free_port()), "--clickhouse-port", str(free_port())]
    environ = {"NPS_BROKERS": NOBODY, "NPS_CLICKHOUSE_URL": f"http://{NOBODY}", "NPS_SERVER_WAIT_S": "60"}
    program = argv(*words, *(more if words == ["up"] else []))
    with subprocess.Popen(
        program, env=clean(environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        until(lambda: has_begun(running.pid), "it runs our own code")
        time.sleep(after_s)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=BOUND_S)
    assert running.returncode in (0, 130, -signal.SIGINT), said
    assert "Traceback" not in said
    assert len([line for line in said.splitlines() if line.startswith("nps: ")]) <= 1


@pytest.mark.parametrize("option", ["--kafka-port", "--collector-port"])
def test_up_names_a_taken_port(tmp_path: Path, option: str) -> None:
    """A port in use is said in one line, before anything runs."""
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("up", "--data", str(tmp_path / "data"), option, port)
    assert one_line(ended, 3) == f"nps: port {port} of {HOST} is taken: stop what listens there or choose another port"


def has_begun(pid: int) -> bool:
    """True once the process loads a command's libraries: before that Python itself starts, and answers for Ctrl-C."""
    try:
        return "confluent_kafka" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return True


def up(folder: Path, told: Mapping[str, str] | None = None) -> Service:
    """`nps up` on free ports, its data in `folder`, once its worker has its partitions."""
    ports = ["--kafka-port", str(free_port()), "--clickhouse-port", str(free_port())]
    running = Service(["up", "--data", str(folder / "data"), *ports], told or {}, folder / f"up-{ports[1]}.log")
    try:
        running.until(lambda: "restored partitions" in running.said(), "the worker had its partitions")
    except BaseException:
        running.kill()
        raise
    return running


def environ_of(running: Service) -> dict[str, str]:
    """The settings that `nps up` tells to export."""
    return dict(re.findall(r"export (NPS_\w+)=(\S+)", running.said()))


def decisions(environ: dict[str, str]) -> list[str]:
    """The trigger ids that ClickHouse knows decisions of."""
    said = done("query", "SELECT trigger_id FROM decisions FINAL", environ=environ)
    return re.findall(r"^│ (\w+) +│$", said, re.MULTILINE)


def at_a_terminal(words: list[str], environ: dict[str, str], columns: int) -> str:
    """What a command prints to a terminal of this width, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**clean(environ), "TERM": "dumb"}
    with subprocess.Popen(argv(*words), env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while chunk := os.read(ours, 65_536):
                said += chunk
        assert running.wait(BOUND_S) == 0, said
    os.close(ours)
    return said.decode().replace("\r\n", "\n")


def one_line(ended: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line on stderr; there is nothing on stdout, and the exit code is this."""
    lines = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout, len(lines)) == (code, "", 1), ended
    return lines[0]


def descendants(pid: int) -> list[int]:
    """Every process below this one."""
    parents = {int(entry.name): parent_of(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found = [pid]
    for above in found:
        found += [child for child, parent in parents.items() if parent == above]
    return found[1:]


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_reading(pid: int) -> bool:
    """True when the process waits for its standard input: it sleeps in a read of descriptor 0."""
    try:
        return Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 ")
    except OSError:
        return False
