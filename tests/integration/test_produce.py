"""`nps produce` against the local broker: what it writes, and how it refuses what it must not write."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.event_json import BadEvent, events_in
from schemas.events import Purchase, SurveyResponse
from schemas.topics import DAY_MS, HISTORY_HEADER, INBOUND_RECORDS
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import KafkaReader
from streams.local.servers import local_broker
from tests.support.commands import argv, clean, done, run, until
from tests.support.retention import keep_for_ever, set_config

PARTITIONS = 3
PURCHASE = {
    "source": "shop", "id": "p1", "type": "order.delivered", "time": "2026-01-31T12:00:00Z", "customer_id": "C1",
    "order_id": "O1",
}  # fmt: skip
RESPONSE = {
    "source": "tool", "id": "r1", "type": "survey.answered", "time": 1_769_860_800_000, "customer_id": "C1",
    "survey_id": "S1", "score": 9,
}  # fmt: skip
NOON_MS = 1_769_860_800_000

Found = dict[tuple[str, int], list[KafkaRecord]]


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    """A broker with the topics."""
    with local_broker() as broker:
        settings = {"NPS_BROKERS": broker.address, "NPS_PARTITIONS": str(PARTITIONS), "NPS_SERVER_WAIT_S": "20"}
        done("topics", environ=settings)
        keep_for_ever(broker.address)
        yield settings


def test_a_file_becomes_records_under_their_customers_and_times(environ: dict[str, str], tmp_path: Path) -> None:
    """Each line is a record of its own topic: keyed by customer, at the event's time, absent fields at defaults."""
    before = everything(environ)
    file = written(tmp_path, {**PURCHASE, "topic": "purchases"}, {**RESPONSE, "topic": "nps.responses"})
    assert done("produce", "--history", file, environ=environ) == "2 events produced\n"
    (bought, bought_at), (answered, answered_at) = sorted(new(before, everything(environ)), key=lambda one: one[1][0])
    assert (bought_at[0], answered_at[0]) == ("nps.purchases", "nps.responses")
    assert (bought.key, bought.timestamp) == (answered.key, answered.timestamp) == (b"C1", NOON_MS)
    assert bought_at[1] == answered_at[1], "one customer, one partition"
    assert Codec().decode(Purchase, bought.value) == Purchase(
        "shop", "p1", "order.delivered", NOON_MS, "C1", "O1", None, None, {}
    )
    assert Codec().decode(SurveyResponse, answered.value) == SurveyResponse(
        "tool", "r1", "survey.answered", NOON_MS, "C1", "S1", 9, None, False, None
    )


def test_history_says_that_it_is(environ: dict[str, str], tmp_path: Path) -> None:
    """With `--history` each record carries the header by which nothing is too late for it; without it none does."""
    for flag, names in (([], []), (["--history"], [HISTORY_HEADER])):
        before = everything(environ)
        done("produce", *flag, "--topic", "purchases", written(tmp_path, PURCHASE), environ=environ)
        [(record, _)] = new(before, everything(environ))
        assert [name for name, _ in record.headers] == names


def test_without_history_lateness_is_judged_by_now(environ: dict[str, str], tmp_path: Path) -> None:
    """Kafka's timestamp is now, whatever the event's time; those that are too late by it are counted and said."""
    before, earliest_ms = everything(environ), now_ms()
    times = [earliest_ms - 8 * DAY_MS, earliest_ms - 6 * DAY_MS, earliest_ms - 500 * DAY_MS]
    lines = [{**PURCHASE, "id": f"p{at}", "time": at, "topic": "purchases"} for at in times]
    contact = {"source": "crm", "id": "u1", "type": "contact.updated", "time": times[0], "customer_id": "C1"}
    file = written(tmp_path, *lines, {**contact, "topic": "contacts"})
    for given in ([file], ["-"]):
        said = done("produce", *given, environ=environ, given=Path(file).read_text())
        assert said.splitlines() == [
            "4 events produced",
            "2 of them happened more than limits.late before now: workers take them for too_late; --history judges by "
            "their own times",
        ]
    records = [record for record, _ in new(before, everything(environ))]
    assert len(records) == 8
    assert all(earliest_ms <= record.timestamp <= now_ms() for record in records)


def test_standard_input_is_sent_as_it_comes(environ: dict[str, str]) -> None:
    """Each line is in Kafka while the next one is waited for; a bad one ends it and says what was sent before."""
    before = everything(environ)
    command = argv("produce", "--topic", "purchases", "-")
    with subprocess.Popen(
        command, env=clean(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        for number in (1, 2):
            running.stdin.write(text({**PURCHASE, "id": f"p{number}"}))
            running.stdin.flush()
            until(lambda sent=number: len(new(before, everything(environ))) == sent, "it is in Kafka")  # type: ignore[misc]
        said, complaint = running.communicate(text({**PURCHASE, "order_id": 7}))
    assert (running.returncode, said) == (2, "")
    assert complaint == "nps: -:3: Expected `str`, got `int` - at `$.order_id`; 2 events before it were produced\n"
    assert len(new(before, everything(environ))) == 2


@pytest.mark.parametrize("given", ["file", "-"])
def test_what_retention_would_delete_is_not_sent(environ: dict[str, str], tmp_path: Path, given: str) -> None:
    """It would be gone before anybody read it: nothing is sent, and the line says how many, why, and what to change."""
    ages_days = [500, 450, 399, 1]
    times = [now_ms() - age * DAY_MS + 60_000 for age in ages_days]
    lines = [{**PURCHASE, "id": f"p{at}", "time": at, "topic": "purchases"} for at in times]
    file = written(tmp_path, *lines, {**RESPONSE, "topic": "responses"})
    before = everything(environ)
    words, content = ["produce", "--history", given if given == "-" else file], Path(file).read_text()
    set_config(environ["NPS_BROKERS"], "retention.ms", str(400 * DAY_MS), ["nps.purchases"])
    try:
        ended = run(*words, environ=environ, given=content)
    finally:
        keep_for_ever(environ["NPS_BROKERS"])
    assert (ended.returncode, ended.stdout) == (2, "")
    old = "1 of these 1" if given == "-" else "2 of these 4"
    assert ended.stderr == (
        f"nps: nps.purchases keeps 400 days: Kafka would delete {old} events, the oldest of 500 days ago: "
        "kafka-configs.sh --alter --entity-type topics --entity-name nps.purchases "
        f"--add-config retention.ms={501 * DAY_MS}\n"
    )
    assert new(before, everything(environ)) == []
    assert done(*words, environ=environ, given=content) == "5 events produced\n"


def test_a_topic_that_stamps_records_itself_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    """By the time of arrival every event of a history would be too late."""
    before = everything(environ)
    set_config(environ["NPS_BROKERS"], "message.timestamp.type", "LogAppendTime", ["nps.purchases"])
    try:
        ended = run("produce", "--history", "--topic", "purchases", written(tmp_path, PURCHASE), environ=environ)
        verified = run("topics", "--verify", environ=environ)
    finally:
        set_config(environ["NPS_BROKERS"], "message.timestamp.type", "CreateTime", ["nps.purchases"])
    assert ended.returncode == verified.returncode == 2
    assert "nps.purchases stamps records with the time of their arrival" in ended.stderr
    assert "--add-config message.timestamp.type=CreateTime" in ended.stderr
    assert "nps.purchases: message.timestamp.type is LogAppendTime, expected CreateTime" in verified.stdout
    assert new(before, everything(environ)) == []


def test_standard_input_is_a_file_too(environ: dict[str, str]) -> None:
    """`-` reads standard input; empty lines are passed over, a byte order mark too."""
    before = everything(environ)
    given = f"\ufeff{json.dumps(PURCHASE)}\n\n{json.dumps({**PURCHASE, 'id': 'p2'})}\n"
    assert (
        done("produce", "--history", "--topic", "purchases", "-", environ=environ, given=given) == "2 events produced\n"
    )
    assert len(new(before, everything(environ))) == 2


def test_times_may_be_written_as_iso_8601(environ: dict[str, str], tmp_path: Path) -> None:
    """Any ISO 8601 time with a zone means its instant."""
    before = everything(environ)
    same = ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000+00:00", "2026-01-31T09:00:00-03:00", "20260131T120000Z"]
    done(
        "produce",
        "--history",
        "--topic",
        "purchases",
        written(tmp_path, *({**PURCHASE, "time": at} for at in same)),
        environ=environ,
    )
    records = [record for record, _ in new(before, everything(environ))]
    assert [record.timestamp for record in records] == [NOON_MS] * len(same)
    assert {Codec().decode(Purchase, record.value).time for record in records} == {NOON_MS}


def test_rebased_the_last_event_happens_now(environ: dict[str, str]) -> None:
    """`--rebase now` shifts a whole history to end now; its distances, to the millisecond, stay."""
    before = everything(environ)
    times = ["2019-03-01T00:00:00.001Z", "2020-01-01T00:00:00Z", "2019-12-31T23:59:00Z"]
    given = "\n".join(json.dumps({**PURCHASE, "id": f"p{at}", "time": at}) for at in times)
    earliest_ms = now_ms()
    done("produce", "--topic", "purchases", "--rebase", "now", "-", environ=environ, given=given)
    records = [record for record, _ in new(before, everything(environ))]
    moved = {event.id: event.time for record in records for event in [Codec().decode(Purchase, record.value)]}
    assert {record.timestamp for record in records} == set(moved.values())
    assert earliest_ms <= max(moved.values()) <= now_ms()
    shifts = {moved[f"p{at}"] - milliseconds(at) for at in times}
    assert len(shifts) == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({**RESPONSE, "score": "9"}, "Expected `int | null`, got `str` - at `$.score`"),
        ({**RESPONSE, "score": 9.5}, "Expected `int | null`, got `float` - at `$.score`"),
        ({**RESPONSE, "score": True}, "Expected `int | null`, got `bool` - at `$.score`"),
        ({**RESPONSE, "score": 1 << 40}, "Expected `int` <= 2147483647 - at `$.score`"),
        ({**RESPONSE, "time": 1 << 70}, "Expected `int` <= 9223372036854775807 - at `$.time`"),
        ({**RESPONSE, "time": "yesterday"}, "'yesterday' is no time; write 2026-01-31T12:00:00Z - at `$.time`"),
        ({**RESPONSE, "time": "2026-01-31T12:00:00"},
         "'2026-01-31T12:00:00' has no time zone; write 2026-01-31T12:00:00Z - at `$.time`"),
        ({**RESPONSE, "customer_id": None}, "Expected `str`, got `null` - at `$.customer_id`"),
        ({**RESPONSE, "customer_id": "\ud800"}, "text that is not UTF-8 - at `$.customer_id`"),
        ({name: RESPONSE[name] for name in RESPONSE if name != "survey_id"},
         "Object missing required field `survey_id`"),
        ({**RESPONSE, "socre": 9}, "Object contains unknown field `socre`"),
        ({**RESPONSE, "topic": "wakeups"},
         "topic 'wakeups' is none of purchases, support, contacts, responses; give --topic or a field 'topic'"),
        (["a list"], "expected a JSON object"),
        ("{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        ("9" * 5_000, "Exceeds the limit (4300 digits) for integer string conversion"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(line: object, complaint: str) -> None:
    """The error names file, line and field."""
    with pytest.raises(BadEvent, match=re.escape(f"events.jsonl:2: {complaint}")) as found:
        list(events_in([text(RESPONSE), text(line), text(RESPONSE)], "events.jsonl", "responses"))
    assert len(str(found.value).splitlines()) == 1


def test_after_a_bad_line_nothing_is_sent(environ: dict[str, str], tmp_path: Path) -> None:
    """A score in quotes: one line, exit code 2, and the good lines around it are not sent either."""
    before = everything(environ)
    file = written(tmp_path, RESPONSE, {**RESPONSE, "score": "9"}, RESPONSE)
    ended = run("produce", "--topic", "responses", file, environ=environ)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"nps: {file}:2: Expected `int | null`, got `str` - at `$.score`\n"
    assert new(before, everything(environ)) == []


def test_bytes_that_are_no_text_are_named(environ: dict[str, str], tmp_path: Path) -> None:
    """A file in another encoding is refused at the line and field where it shows."""
    file = tmp_path / "latin-1.jsonl"
    lines = [json.dumps({**PURCHASE, "customer_id": name}, ensure_ascii=False) for name in ("Ana", "José")]
    file.write_bytes("\n".join(lines).encode("latin-1"))
    ended = run("produce", "--topic", "purchases", str(file), environ=environ)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"nps: {file}:2: text that is not UTF-8 - at `$.customer_id`\n"


def test_a_file_that_is_not_there_is_named(environ: dict[str, str]) -> None:
    """A missing file and a folder are refused in one line, without asking Kafka."""
    for name, why in (("/no/such.jsonl", "No such file or directory"), ("/", "Is a directory")):
        ended = run("produce", "--topic", "purchases", name, environ={**environ, "NPS_BROKERS": "127.0.0.1:1"})
        assert (ended.returncode, ended.stderr) == (2, f"nps: {name}: cannot be read ({why})\n")


def test_without_a_topic_a_line_must_name_its_own(environ: dict[str, str]) -> None:
    """A line without a topic is refused when none was given."""
    ended = run("produce", "-", environ=environ, given=json.dumps(PURCHASE))
    assert ended.returncode == 2
    assert ended.stderr.startswith("nps: -:1: topic '' is none of purchases, support, contacts, responses;")


def written(folder: Path, *lines: object) -> str:
    """A file of these lines."""
    file = folder / "events.jsonl"
    file.write_text("".join(map(text, lines)))
    return str(file)


def text(line: object) -> str:
    """A line of a file: text as it is, anything else as JSON."""
    return f"{line if isinstance(line, str) else json.dumps(line)}\n"


def everything(environ: dict[str, str]) -> Found:
    """All records of all inbound topics."""
    found: Found = {}
    with closing(KafkaReader(environ["NPS_BROKERS"], {})) as reader:
        for where, record in reader.read(
            [(topic, number) for topic in INBOUND_RECORDS for number in range(PARTITIONS)]
        ):
            found.setdefault(where, []).append(record)
    return found


def new(before: Found, after: Found) -> list[tuple[KafkaRecord, tuple[str, int]]]:
    """What came in between, each with where it lies."""
    return [(record, where) for where in after for record in after[where][len(before.get(where, [])) :]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)
