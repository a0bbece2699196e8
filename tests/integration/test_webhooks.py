"""Webhooks posted to a real collector on a local broker: what is taken, what is refused, and what becomes of it."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import aiohttp
import pytest

from schemas.codec import Codec
from schemas.deadletters import unwrap
from schemas.events import Decision, Purchase
from schemas.topics import DEAD_LETTERS, DECISIONS, PURCHASES
from streams.collector.webhooks import LARGEST_BODY_BYTES
from streams.kafka.ports import KafkaRecord
from streams.local.servers import free_port, local_broker
from streams.sources.language import SIGNATURES
from streams.sources.mapper import Mapper
from streams.sources.reading import load
from streams.sources.samples import read_samples
from tests.support.collector import Collecting, environ, read
from tests.support.commands import ROOT, Service, done, run
from tests.support.foreign_topics import PARTITIONS as FOREIGN_PARTITIONS
from tests.support.foreign_topics import make_topic
from tests.support.laws import examples
from tests.support.signing import SECRET, files, secret_of, signed

SHIPPED = ("shopify", "zendesk", "typeform", "delighted")
FOLDER = ROOT / "deploy" / "sources"
SCHEMES = {f"of-{scheme}": scheme for scheme in SIGNATURES}
OTHERS = {"killed": "token", "form": "token", "events": "token", "any": "token", "limited": "shopify"}
OLD = "the old secret of the sender"
JSON = {"Content-Type": "application/json"}
ORDER = b'{"id": 7, "customer": "C-7"}'


def secrets() -> dict[str, str]:
    """What the environment holds for each scheme; Shopify's secret is being replaced."""
    named = {f"{scheme.upper()}_SECRET": secret_of(scheme) for scheme in SIGNATURES}
    return {**named, "SHOPIFY_SECRET_OLD": OLD, **{f"{name.upper()}_WEBHOOK_SECRET": SECRET for name in SHIPPED}}


class Door(NamedTuple):
    """A collector that serves sources, and what it was told."""

    collector: Collecting
    told: dict[str, str]
    files: Sequence[Path]

    def posted(self, name: str) -> list[KafkaRecord]:
        """What lies on the topic of a source."""
        topic = load(next(file for file in self.files if file.stem == name)).topic
        return read(self.collector.brokers, topic, FOREIGN_PARTITIONS)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One collector for this module, with the shipped sources and one of each scheme."""
    folder = tmp_path_factory.mktemp("webhooks")
    written = files({**SCHEMES, **OTHERS})
    written["form"] = written["form"].replace("[webhook]", 'format = "form"\n[webhook]')
    written["events"] = written["events"].replace("[webhook]", 'envelope = "cloudevents"\n[webhook]')
    for name, text in written.items():
        (folder / f"{name}.toml").write_text(text)
    paths = [*(FOLDER / f"{name}.toml" for name in SHIPPED), *(folder / f"{name}.toml" for name in written)]
    with local_broker() as broker:
        told = environ(broker.address, {
            **secrets(), "NPS_COLLECTOR_SOURCES": ", ".join(map(str, paths)), "NPS_COLLECTOR_ADDRESS_RATE": "400",
            "NPS_METRICS_PORT": str(free_port()),
        })  # fmt: skip
        done("topics", environ=told)
        for path in paths:
            make_topic(broker.address, load(path).topic)
        with Collecting(told, folder / "log") as collector:
            yield Door(collector, told, paths)


class Answer(NamedTuple):
    """What came back."""

    status: int
    said: Any
    headers: Mapping[str, str]


def asked(
    door: Door | Collecting, name: str, body: Any = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
) -> Answer:
    """One request to a source."""

    async def asking() -> Answer:
        url = (door.collector if isinstance(door, Door) else door).url
        async with (
            aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as client,
            client.request(method, f"{url}/sources/{name}", data=body, headers=headers) as answer,
        ):
            text = await answer.text()
            return Answer(answer.status, json.loads(text) if text else None, dict(answer.headers))

    return asyncio.run(asking())


def bearer() -> dict[str, str]:
    """The headers of a sender with a token."""
    return {**signed("token", b""), **JSON}


# what is taken


@pytest.mark.parametrize("name", SHIPPED)
def test_samples_that_are_posted_become_what_sources_test_says(door: Door, name: str, tmp_path: Path) -> None:
    """Bytes and headers reach the topic as they came, and their mapping is that of the samples."""
    paths = [path for path in sorted(FOLDER.glob(f"samples/{name}-*.json")) if path.name.count(".") == 1]
    samples = [sample for path in paths for sample in read_samples(path)]
    mapper = Mapper(load(FOLDER / f"{name}.toml"))
    for sample in samples:
        body = sample.record.value or b""
        sent = {header: (value or b"").decode() for header, value in sample.record.headers}
        answer = asked(door, name, body, {**sent, **JSON, **signed(name, body)})
        assert (answer.status, answer.said) == (200, {"accepted": 1})
    posted = {record.value: record for record in door.posted(name)}
    assert samples
    assert all(
        mapper.map(posted[sample.record.value]._replace(timestamp=sample.record.timestamp)) == mapper.map(sample.record)
        for sample in samples
    )


@pytest.mark.parametrize("scheme", SIGNATURES)
def test_each_scheme_opens_the_door(door: Door, scheme: str) -> None:
    """Proven: taken, byte for byte.  Forged, missing or of five minutes ago: 401, and nothing is written."""
    name, body = f"of-{scheme}", b' {"id": 1}\r\n\xff'
    proof = signed(scheme, body)
    assert asked(door, name, body, {**proof, **JSON}).status == 200
    [record] = door.posted(name)
    assert record.value == body
    assert SECRET.encode() not in b"".join(value or b"" for _, value in record.headers)
    wrong = [{}, signed(scheme, body, secret_of(scheme)[:-4] + "AAAA")]
    wrong += [signed(scheme, body, at_ms=1_700_000_000_000)] if scheme in ("stripe", "zendesk", "standard") else []
    for headers in wrong:
        answer = asked(door, name, body, {**headers, **JSON})
        assert (answer.status, list(answer.said)) == (401, ["error"])
        assert answer.headers["WWW-Authenticate"]
    assert len(door.posted(name)) == 1


def test_the_old_secret_holds_while_it_is_replaced(door: Door) -> None:
    """<NAME>_OLD beside the new one."""
    body = b'{"id": "old"}'
    for secret in (OLD, SECRET):
        assert asked(door, "of-shopify", body, {**signed("shopify", body, secret), **JSON}).status == 200


def test_headers_are_those_of_the_sender(door: Door) -> None:
    """No proof, address or header of ours; attributes of CloudEvents have their names of Kafka."""
    headers = {
        **bearer(), "X-Topic": "a", "ce-id": "e%20%C3%A9", "Cookie": "c=1", "X-Forwarded-For": "192.0.2.7",
        "Forwarded": "for=192.0.2.7", "nps-letter": "1", "X-Real-IP": "192.0.2.7",
    }  # fmt: skip
    assert asked(door, "of-token", b'{"id": "headers"}', headers).status == 200
    [record] = [record for record in door.posted("of-token") if record.value == b'{"id": "headers"}']
    kept = dict(record.headers)
    assert {"X-Topic": b"a", "ce_id": "e é".encode(), "Content-Type": b"application/json"}.items() <= kept.items()
    assert {name.lower() for name in kept} <= {
        "x-topic", "ce_id", "content-type", "accept", "accept-encoding", "user-agent"
    }  # fmt: skip


def test_a_batch_of_cloudevents_is_a_record_each(door: Door) -> None:
    """Each with its bytes; one that is no list lies there whole."""
    events = [b'{"specversion": "1.0",  "id":"%d"}' % number for number in range(3)]
    headers = {**bearer(), "Content-Type": "application/cloudevents-batch+json; charset=utf-8"}
    answer = asked(door, "events", b"[" + b" , ".join(events) + b"]", headers)
    assert (answer.status, answer.said) == (200, {"accepted": 3})
    for body in (b"[]", b"{}", b"[" + b"1," * 1_000 + b"1]", b"["):
        assert asked(door, "events", body, headers).said == {"accepted": 1}
    found = Counter(record.value for record in door.posted("events"))
    assert found == Counter([*events, b"[]", b"{}", b"[" + b"1," * 1_000 + b"1]", b"["])


def test_a_form_is_taken_as_one(door: Door) -> None:
    """Where the mapping file says so."""
    headers = {**bearer(), "Content-Type": "application/x-www-form-urlencoded"}
    assert asked(door, "form", b"id=1&customer=C", headers).status == 200
    assert asked(door, "form", b"id=1&customer=C", bearer()).status == 415


def test_whoever_is_proven_is_not_limited(door: Door) -> None:
    """More than an address may ask in a minute; strangers are told to wait, and proven ones with them for a moment."""
    url = f"{door.collector.url}/sources/limited"
    headers = {**signed("shopify", ORDER), **JSON}

    async def posting() -> Counter[int]:
        async with aiohttp.ClientSession() as client:
            return Counter([(await client.post(url, data=ORDER, headers=headers)).status for _ in range(500)])

    assert asyncio.run(posting()) == {200: 500}


# what is refused


def test_other_requests_are_told_what_to_do(door: Door) -> None:
    """404, 405, 415, 413 with and without a length, 431: JSON with one line."""
    many = {**bearer(), **{f"X-{number}": "x" * 4_000 for number in range(5)}}

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    for name, body, headers, method, status in (
        ("nobody", ORDER, bearer(), "POST", 404),
        ("of-token", ORDER, bearer(), "PUT", 405),
        ("of-token", ORDER, {**bearer(), "Content-Type": "multipart/form-data; boundary=x"}, "POST", 415),
        ("of-token", b" " * (LARGEST_BODY_BYTES + 1), bearer(), "POST", 413),
        ("of-token", endless(), bearer(), "POST", 413),
        ("of-token", ORDER, many, "POST", 431),
    ):  # fmt: skip
        answer = asked(door, name, body, headers, method)
        assert (answer.status, list(answer.said)) == (status, ["error"])
        assert "\n" not in answer.said["error"]


@pytest.mark.parametrize("content_type", ["application/vnd.api+json; charset=utf-8", "text/plain", "", "Text/JSON"])
def test_json_comes_under_many_names(door: Door, content_type: str) -> None:
    """Also as text, or under no name."""
    headers = {**signed("token", b""), **({"Content-Type": content_type} if content_type else {})}
    assert asked(door, "of-token", b'{"id": "names"}', headers).status == 200


def test_the_largest_body_is_taken(door: Door) -> None:
    """It and its headers fit into one record."""
    body = b'{"id": "' + b"x" * (LARGEST_BODY_BYTES - 10) + b'"}'
    headers = {**bearer(), **{f"X-{number}": "x" * 4_000 for number in range(3)}}
    assert asked(door, "of-token", body, headers).status == 200
    assert max(len(record.value or b"") for record in door.posted("of-token")) == LARGEST_BODY_BYTES


# greetings


def test_senders_that_look_whether_anybody_is_there(door: Door) -> None:
    """HEAD and GET, WooCommerce's ping, the challenge of Slack and monday.com, the question of CloudEvents."""
    before = {name: len(door.posted(name)) for name in ("of-woocommerce", "of-token", "of-intercom")}
    for method in ("HEAD", "GET"):
        assert asked(door, "of-intercom", method=method).status == 200
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert asked(door, "of-woocommerce", b"webhook_id=17", form).status == 200
    assert asked(door, "of-woocommerce", b"webhook_id=17&x=1", form).status == 401
    assert asked(door, "of-shopify", b"webhook_id=17", form).status == 401
    for body in ({"challenge": "abc"}, {"type": "url_verification", "token": "t", "challenge": "abc"}):
        assert asked(door, "of-token", json.dumps(body).encode(), bearer()).said == {"challenge": "abc"}
        assert asked(door, "of-token", json.dumps(body).encode(), JSON).status == 401
    origin = {"WebHook-Request-Origin": "eventemitter.example.com"}
    answer = asked(door, "of-token", b"", {**bearer(), **origin}, "OPTIONS")
    assert (answer.status, answer.headers["WebHook-Allowed-Origin"]) == (200, "eventemitter.example.com")
    assert asked(door, "of-token", b"", origin, "OPTIONS").status == 401
    assert asked(door, "of-token", b"", bearer(), "OPTIONS").status == 405
    assert {name: len(door.posted(name)) for name in before} == before
    assert asked(door, "of-token", b'{"challenge": "abc", "id": 1}', bearer()).said == {"accepted": 1}


def test_requests_are_counted_by_source_and_outcome(door: Door) -> None:
    """No other name is a label, whatever strangers ask for."""
    asked(door, "C-7", ORDER, bearer())
    asked(door, "of-token", ORDER)
    with urlopen(f"http://127.0.0.1:{door.told['NPS_METRICS_PORT']}/metrics") as found:
        text = found.read().decode()
    lines = [line for line in text.splitlines() if line.startswith("nps_webhook_requests_total{")]
    assert any('outcome="missing",source="of-token"' in line for line in lines)
    assert "C-7" not in "".join(lines)
    assert SECRET not in door.collector.said()


# any bytes


def test_no_body_is_lost_and_none_ends_the_door(door: Door, tmp_path: Path) -> None:
    """Whatever the bytes: on the topic as they came; then an event, or a dead letter with them."""
    rng = random.Random(13)
    bodies = [rng.randbytes(rng.choice([0, 1, 10, 1_000, 100_000])) for _ in range(examples(200))]
    bodies += [b"[" * 50_000, b'{"a":1e999}', b"\xef\xbb\xbf{}", b"null", b"\x1f\x8b", ORDER]

    async def posting() -> None:
        url = f"{door.collector.url}/sources/any"
        async with aiohttp.ClientSession() as client:
            for body in bodies:
                async with client.post(url, data=body, headers=bearer()) as answer:
                    assert (answer.status, await answer.json()) == (200, {"accepted": 1})

    asyncio.run(posting())
    assert Counter(record.value for record in door.posted("any")) == Counter(bodies)
    file = next(file for file in door.files if file.stem == "any")
    told = {**door.told, "NPS_FUSE_IN_A_ROW": "100000", "NPS_FUSE_RATIO": "1", "NPS_METRICS_PORT": "0"}
    source = Service(["sources", "run", str(file)], told, tmp_path / "log")
    try:
        source.until(lambda: len(letters(door, "posted.any")) == len(bodies) - 1, "all but one are letters")
        source.until(lambda: len(events(door, "any")) == 1, "one is an event")
    finally:
        assert source.stop() == 0
    assert Counter(letters(door, "posted.any")) == Counter(body for body in bodies if body != ORDER)


def letters(door: Door, topic: str) -> list[bytes]:
    """Bytes of the dead letters of a topic."""
    found = read(door.collector.brokers, DEAD_LETTERS, 1)
    return [record.value or b"" for record in found if unwrap(record.headers)[1].topic == topic]


def events(door: Door, source: str) -> list[Purchase]:
    """Purchases of a source."""
    partitions = int(door.told["NPS_PARTITIONS"])
    found = [
        Codec().decode(Purchase, record.value) for record in read(door.collector.brokers, PURCHASES.name, partitions)
    ]
    return [event for event in found if event.source == source]


# crashes


def test_a_kill_before_the_answer_loses_nothing(door: Door, tmp_path: Path) -> None:
    """Killed once Kafka has the order: the sender hears nothing, sends it again, and it is one event."""
    told = {**door.told, "NPS_METRICS_PORT": "0"}
    with Collecting({**told, "FAILPOINTS": "after-put:kill"}, tmp_path / "killed.log") as killed:
        with pytest.raises(aiohttp.ClientError):
            asked(killed, "killed", ORDER, bearer())
        assert killed.ended() == -9
    for body in (ORDER, ORDER.replace(b"7", b"8")):
        assert asked(door, "killed", body, bearer()).status == 200
    assert [record.value for record in door.posted("killed")].count(ORDER) == 2
    file = next(file for file in door.files if file.stem == "killed")
    with (
        Service(["sources", "run", str(file)], told, tmp_path / "source.log") as source,
        Service("worker", told, tmp_path / "worker.log") as worker,
    ):
        source.until(lambda: len(events(door, "killed")) == 3, "all are mapped")
        worker.until(lambda: "8" in decided(door), "the order that came last is decided")
        assert worker.stop() == source.stop() == 0
    assert len({(event.source, event.id) for event in events(door, "killed")}) == 2
    assert sorted(decided(door)) == ["7", "8"]


def decided(door: Door) -> list[str]:
    """Orders of the source about which something was decided, each as often as it was decided about."""
    found = read(door.collector.brokers, DECISIONS.name, int(door.told["NPS_PARTITIONS"]))
    decisions = [Codec().decode(Decision, record.value) for record in found]
    return [decision.correlation_id or "" for decision in decisions if decision.trigger_source == "killed"]


def test_while_kafka_is_away_the_sender_is_told_to_come_again(tmp_path: Path) -> None:
    """503 with Retry-After within the bound; when Kafka is back webhooks are taken again."""
    (tmp_path / "away.toml").write_text(files({"away": "token"})["away"])
    port = free_port()
    with local_broker(port) as broker:
        more = {"NPS_COLLECTOR_WAIT_MS": "1500", "NPS_COLLECTOR_SOURCES": str(tmp_path / "away.toml"), **secrets()}
        told = environ(broker.address, more)
        done("topics", environ=told)
        make_topic(broker.address, "posted.away")
        service = Collecting(told, tmp_path / "log")
    with service:
        answer = asked(service, "away", ORDER, bearer())
        assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
        assert "send it again" in answer.said["error"]
        with local_broker(port):
            make_topic(broker.address, "posted.away")
            service.until(lambda: asked(service, "away", ORDER, bearer()).status == 200, "webhooks are taken")
        assert service.stop() == 0


# at the start


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"TOKEN_SECRET": ""}, "own.toml: [webhook] needs the environment variable TOKEN_SECRET"),
        ({"TOKEN_SECRET": "short"}, "TOKEN_SECRET must have 16 characters or more"),
        ({"TOKEN_SECRET_OLD": "short"}, "TOKEN_SECRET_OLD must have 16 characters or more"),
        ({"NPS_COLLECTOR_SOURCES": "none.toml"}, "none.toml: cannot be read"),
        ({}, "own.toml: Kafka has no topic posted.own: create it, or correct `topic`"),
    ],
)
def test_what_is_missing_is_said_at_the_start(door: Door, tmp_path: Path, change: dict[str, str], fault: str) -> None:
    """A secret, a file, a topic: the collector ends with 2 and one line."""
    (tmp_path / "own.toml").write_text(files({"own": "token"})["own"])
    told = {**door.told, "NPS_METRICS_PORT": "0", "NPS_COLLECTOR_SOURCES": str(tmp_path / "own.toml"), **change}
    ended = run("collector", environ=told)
    assert (ended.returncode, fault in ended.stderr, ended.stderr.count("\n")) == (2, True, 1)
    assert SECRET not in ended.stderr


def test_a_file_without_webhook_and_two_of_one_name_are_refused(door: Door, tmp_path: Path) -> None:
    """Before anything listens."""
    text = files({"own": "token"})["own"]
    file = tmp_path / "own.toml"
    file.write_text(text.replace('[webhook]\nverify = "token"\nsecret = "TOKEN_SECRET"\n', ""))
    told = {**door.told, "NPS_METRICS_PORT": "0"}
    ended = run("collector", environ={**told, "NPS_COLLECTOR_SOURCES": str(file)})
    assert (ended.returncode, "own.toml: to take its webhooks, say how they are signed" in ended.stderr) == (2, True)
    file.write_text(text)
    ended = run("collector", environ={**told, "NPS_COLLECTOR_SOURCES": f"{file},{file}"})
    assert (ended.returncode, "have the same name" in ended.stderr) == (2, True)
