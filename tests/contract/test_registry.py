"""Every registry keeps its port's promises: an id gives its schema, none is a KeyError, silence is RegistryAway."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pytest
import urllib3

from schemas.codec import CONFLUENT, MOST_FOREIGN, UNKNOWN_S, Codec, Registry, RegistryAway, versions
from schemas.errors import BadInput
from schemas.events import RECORDS, Purchase, SurveyResponse
from schemas.memory_registry import MemoryRegistry
from schemas.registry import AWAY_S, ConfluentRegistry, RegistryPolicy
from streams.settings import Settings, shown
from tests.support.apicurio import apicurio
from tests.support.codecs import reason_of
from tests.support.registry_server import RegistryServer, Reply, registry_server

RECORD = '{"type": "record", "name": "Part", "namespace": "shop", "fields": [{"name": "a", "type": "string"}]}'
PURCHASE = Purchase("shop", "p1", "order.delivered", 1_700_000_000_000, "c1", "o1", 1999, "EUR", {"country": "BR"})
SHORT_S = 0.2
PATIENT_S = 30.0
"""For a real registry on a busy machine."""

USER, MASKED = "reader:p%40ss", "p@ss"
ABSENT = [0, 999_999, 2**31 - 1, 2**31 + 5, 2**32 - 1]
"""Ids without a schema; the last is -1 as a Java program may write it."""


class Case(NamedTuple):
    """A registry, the way to put a schema with references into it, and to take it away."""

    registry: Registry
    put: Callable[[str, list[int]], int]
    take_away: Callable[[], None]
    checks_references: bool = False


REAL = pytest.param("apicurio", marks=pytest.mark.kafka)
"""Needs Java 17 and Maven as a real Kafka does."""


class RunningApicurio:
    """Apicurio for as many tests as come, for it takes long to start; anew after one that took it away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self._address = ""

    def address(self) -> str:
        """Its address; it is started where it does not run."""
        if not self._address:
            self._address, _ = self._running.enter_context(apicurio(self._folder))
        return self._address

    def stop(self) -> None:
        """Stop it."""
        self._running.close()
        self._address = ""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApicurio]:
    running = RunningApicurio(tmp_path_factory.mktemp("apicurio"))
    yield running
    running.stop()


@pytest.fixture(params=["memory", "confluent", "confluent with a password", REAL])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Each registry there is; whoever adds one adds it here."""
    if request.param == "memory":
        yield memory_case()
        return
    if request.param == "apicurio":
        real: RunningApicurio = request.getfixturevalue("real")
        url = real.address()
        registry = ConfluentRegistry(url, timeout_s=PATIENT_S)
        yield Case(registry, lambda text, referred: register(url, text, referred), real.stop, True)
        return
    with registry_server(USER if "password" in request.param else None) as server:

        def put(text: str, references: list[int]) -> int:
            listed = [{"name": f"r{at}", "subject": f"of {at}", "version": 1} for at in references]
            body: dict[str, object] = {"schema": text, **({"references": listed} if listed else {})}
            schema_id = server.register("any", body)
            server.register(f"of {schema_id}", body)
            return schema_id

        def take_away() -> None:
            server.fault = Reply(503)

        yield Case(ConfluentRegistry(server.url, timeout_s=SHORT_S), put, take_away)


def memory_case() -> Case:
    registry = MemoryRegistry()

    def put(text: str, references: list[int]) -> int:
        schema_id = registry.id_of("any", text)
        registry.references[schema_id] = references
        return schema_id

    return Case(registry, put, lambda: setattr(registry, "away", True))


def register(url: str, text: str, references: list[int]) -> int:
    """Register a schema with references at a real registry, under a subject of its own."""
    listed = [{"name": f"r{at}", "subject": SUBJECTS[url, at], "version": 1} for at in references]
    subject = f"subject-{len(SUBJECTS)}"
    answer = urllib3.request("POST", f"{url}/subjects/{subject}/versions", json={"schema": text, "references": listed})
    if answer.status != 200:
        raise ValueError(answer.data)
    schema_id = int(answer.json()["id"])
    SUBJECTS[url, schema_id] = subject
    return schema_id


SUBJECTS: dict[tuple[str, int], str] = {}
"""Subject of each schema that was registered with a real registry."""


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with registry_server() as running:
        yield running


def message(schema_id: int, body: bytes = b"abc") -> bytes:
    return CONFLUENT + schema_id.to_bytes(4, "big") + body


def test_an_id_gives_its_schema(case: Case) -> None:
    """What was registered comes back as it was, whoever registered it, and however often."""
    schema_id = case.registry.id_of("nps.Part", RECORD)
    assert case.registry.id_of("nps.Part", RECORD) == schema_id
    assert case.registry.id_of("nps.Other", RECORD.replace("Part", "Other")) != schema_id
    assert list(case.registry.texts_of(schema_id)) == [RECORD]


@pytest.mark.parametrize("schema_id", ABSENT[:3])
def test_no_schema_is_a_key_error(case: Case, schema_id: int) -> None:
    """An id that was never given to a schema is no reason to wait."""
    with pytest.raises(KeyError):
        case.registry.texts_of(schema_id)


def test_a_registry_that_is_away(case: Case) -> None:
    """Neither looking up nor registering can say anything then."""
    schema_id = case.registry.id_of("nps.Part", RECORD)
    case.take_away()
    for ask in (lambda: case.registry.texts_of(schema_id), lambda: case.registry.id_of("nps.Part", RECORD)):
        with pytest.raises(RegistryAway):
            ask()


def test_references_come_before_what_refers_to_them(case: Case) -> None:
    """Each once, however often it is referred to, so that the texts can be parsed in their order."""
    a, b, c = (case.put(RECORD.replace("Part", name), []) for name in "ABC")
    left = case.put(RECORD.replace("Part", "Left"), [a, b])
    top = case.put(RECORD.replace("Part", "Top"), [left, c, a])
    names = [json.loads(text)["name"] for text in case.registry.texts_of(top)]
    assert names == ["A", "B", "Left", "C", "Top"]


def test_records_with_a_schema_by_reference_are_read(case: Case) -> None:
    """A producer whose schema names another one: its record is decoded like any other."""
    money = {"type": "record", "name": "Money", "namespace": "shop", "fields": [{"name": "minor", "type": "long"}]}
    fields = [*versions(Purchase)[-1]["fields"], {"name": "paid", "type": ["null", "shop.Money"]}]
    writer: dict[str, Any] = {"type": "record", "name": "Purchase", "namespace": "nps", "fields": fields}
    schema_id = case.put(json.dumps(writer), [case.put(json.dumps(money), [])])
    named: dict[str, Any] = {}
    fastavro.parse_schema(money, named_schemas=named)
    out = BytesIO()
    parsed = fastavro.parse_schema(writer, named_schemas=named)
    fastavro.schemaless_writer(out, parsed, {**PURCHASE._asdict(), "paid": {"minor": 5}})
    assert Codec(case.registry).decode(Purchase, message(schema_id, out.getvalue())) == PURCHASE


def test_a_reference_that_is_not_there(case: Case) -> None:
    """The schema is as good as none; a real registry does not take it."""
    if case.checks_references:
        with pytest.raises(KeyError):
            case.put(RECORD, [12_345])
        return
    schema_id = case.put(RECORD, [12_345])
    with pytest.raises(KeyError):
        case.registry.texts_of(schema_id)
    assert reason_of(lambda: Codec(case.registry).decode(Purchase, message(schema_id))) == "unknown_schema"


@pytest.mark.parametrize("schema_id", ABSENT)
def test_absent_ids_are_unknown_schemas(case: Case, schema_id: int) -> None:
    """A record that names one is bad, whatever number it is."""
    assert reason_of(lambda: Codec(case.registry).decode(Purchase, message(schema_id))) == "unknown_schema"


NOT_FOUND = [
    Reply(404, b'{"error_code": 40403, "message": "Schema not found"}'),
    Reply(404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
    Reply(404, b"<html><body>no such page</body></html>"),
    Reply(404, b""),
    Reply(404, b"[1]"),
    Reply(422, b'{"error_code": 42201}'),
]
AWAY = [
    Reply(429, b'{"error_code": 42901}'),
    Reply(500, b'{"error_code": 50001, "message": "Error in the backend"}'),
    Reply(502, b"<html>Bad Gateway</html>"),
    Reply(503),
    Reply(401, b'{"error_code": 401}'),
    Reply(403),
    Reply(302),
    Reply(200, b"<html>log in first</html>"),
    Reply(200, b""),
    Reply(200, b"[" * 100_000),
    Reply(200, b" " * 3_000_000 + b"{}"),
    Reply(200, b"{}", after_s=30),
]


@pytest.mark.parametrize("reply", NOT_FOUND, ids=lambda reply: f"{reply.status} {reply.body[:30]!r}")
def test_answers_that_mean_no_such_schema(server: RegistryServer, reply: Reply) -> None:
    """Each 404 does, whoever wrote its body."""
    server.fault = reply
    codec = Codec(ConfluentRegistry(server.url), encodes=False)
    assert reason_of(lambda: codec.decode(Purchase, message(7))) == "unknown_schema"


@pytest.mark.parametrize("reply", AWAY, ids=lambda reply: f"{reply.status} {reply.body[:20]!r}")
def test_answers_that_mean_away(server: RegistryServer, reply: Reply) -> None:
    """Too many requests, a server error, a wrong password, another program's page, silence: the bytes may be good."""
    server.fault = reply
    registry = ConfluentRegistry(server.url, timeout_s=SHORT_S)
    with pytest.raises(RegistryAway):
        Codec(registry, encodes=False).decode(Purchase, message(7))
    with pytest.raises(RegistryAway):
        ConfluentRegistry(server.url, timeout_s=SHORT_S).id_of("nps.Part", RECORD)


def test_nobody_listens() -> None:
    """A refused connection is RegistryAway too."""
    with registry_server() as gone:
        url = gone.url
    with pytest.raises(RegistryAway):
        ConfluentRegistry(url).texts_of(7)


def test_a_registry_that_is_away_is_asked_once_a_second(server: RegistryServer) -> None:
    """A batch of records does not wait for each of them."""
    server.fault, now = Reply(503), [100.0]
    registry = ConfluentRegistry(server.url, clock=lambda: now[0])
    for _ in range(5):
        with pytest.raises(RegistryAway):
            registry.texts_of(7)
    assert len(server.requests) == 1
    server.fault = None
    now[0] += AWAY_S
    with pytest.raises(KeyError):
        registry.texts_of(7)


@pytest.mark.parametrize(
    "text", ['{"schema": 5}', '{"schema": null}', "{}", '{"schema": "{}", "references": [5]}',
             '{"schema": "{}", "references": [{"subject": "s", "version": "x"}]}', '{"schema": "{}", "references": 5}'],
)  # fmt: skip
def test_answers_that_hold_no_schema(server: RegistryServer, text: str) -> None:
    """The registry answers for the id, with nothing to read by."""
    server.fault = Reply(200, text.encode())
    codec = Codec(ConfluentRegistry(server.url), encodes=False)
    assert reason_of(lambda: codec.decode(Purchase, message(7))) == "unknown_schema"


def test_references_in_a_circle_end(server: RegistryServer) -> None:
    """No registry takes such schemas, and none can keep us asking."""
    server.schemas[1] = {"schema": RECORD, "references": [{"name": "r", "subject": "s", "version": 1}]}
    server.subjects["s"] = [1]
    assert reason_of(lambda: Codec(ConfluentRegistry(server.url), encodes=False).decode(Purchase, message(1)))
    for number in range(2, 200):
        reference = {"name": "r", "subject": f"s{number + 1}", "version": 1}
        server.schemas[number] = {"schema": RECORD, "references": [reference]}
        server.subjects[f"s{number}"] = [number]
    with pytest.raises(KeyError):
        ConfluentRegistry(server.url).texts_of(2)


def test_looks_up_before_it_registers(server: RegistryServer) -> None:
    """A registry that is read-only to us, with our schemas in it, is enough."""
    assert ConfluentRegistry(server.url).id_of("nps.Part", RECORD) == server.register("nps.Part", {"schema": RECORD})
    server.requests.clear()
    ConfluentRegistry(server.url).id_of("nps.Part", RECORD)
    assert server.requests == ["POST /subjects/nps.Part"]


def test_two_processes_register_at_once(server: RegistryServer) -> None:
    """Whoever loses the race is told 409, and finds the schema of the other."""
    missing = Reply(404, b'{"error_code": 40403}')
    server.register("nps.Part", {"schema": RECORD})
    server.faults = [missing, Reply(409, b'{"error_code": 409}')]
    assert ConfluentRegistry(server.url).id_of("nps.Part", RECORD) == server.subjects["nps.Part"][0]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Codec(ConfluentRegistry(server.url)).encode(PURCHASE)[:5], range(8)))
    assert len(set(made)) == 1


@pytest.mark.parametrize("refusal", [Reply(409, b'{"error_code": 409}'), Reply(422, b'{"error_code": 42201}')])
def test_a_schema_that_the_registry_does_not_take(server: RegistryServer, refusal: Reply) -> None:
    """A restart will not help: the subject's compatibility forbids it, or it is read-only."""
    server.faults = [Reply(404), refusal, Reply(404)]
    with pytest.raises(BadInput, match=r"nps\.Part"):
        ConfluentRegistry(server.url).id_of("nps.Part", RECORD)


def test_the_password_works_and_is_never_told(caplog: pytest.LogCaptureFixture) -> None:
    """Neither errors nor logs nor `nps config` show it."""
    caplog.set_level("DEBUG")
    with registry_server(USER) as server:
        registry = ConfluentRegistry(server.url)
        registry.id_of("nps.Part", RECORD)
        server.fault = Reply(503)
        with pytest.raises(RegistryAway) as caught:
            registry.texts_of(1)
        masked = dict(shown(Settings(registry_url=server.url)))["NPS_REGISTRY_URL"]
    with pytest.raises(RegistryAway) as refused:
        ConfluentRegistry(server.url).texts_of(1)
    for told in (str(caught.value), str(refused.value), caplog.text, masked):
        assert MASKED not in told
        assert "p%40ss" not in told
    assert f"127.0.0.1:{server.server_port}" in str(caught.value)


class Counting(MemoryRegistry):
    """Counts what it is asked."""

    asked = 0

    def texts_of(self, schema_id: int) -> list[str]:
        self.asked += 1
        return super().texts_of(schema_id)


def test_an_unknown_id_is_not_asked_for_again_at_once() -> None:
    """Once in UNKNOWN_S, for as many ids as are remembered; then it may have been registered."""
    registry, now = Counting(), [100.0]
    codec = Codec(registry, encodes=False, clock=lambda: now[0])
    for _ in range(10):
        assert reason_of(lambda: codec.decode(Purchase, message(7))) == "unknown_schema"
    assert registry.asked == 1
    now[0] += UNKNOWN_S
    registry.schemas[7] = json.dumps(versions(Purchase)[-1])
    assert codec.decode(Purchase, message(7, Codec().encode(PURCHASE)[10:])) == PURCHASE
    assert registry.asked == 2


def test_memory_is_bounded_whatever_ids_come() -> None:
    """The oldest foreign schemas and unknown ids are forgotten; ours never are."""
    registry = MemoryRegistry()
    codec = Codec(registry)
    ours = codec.encode(PURCHASE)
    for number in range(3 * MOST_FOREIGN):
        if number % 2:
            registry.schemas[number] = json.dumps(
                {"type": "record", "name": "X", "fields": [{"name": "a", "type": "int"}]}
            )
        assert reason_of(lambda number=number: codec.decode(Purchase, message(number)))  # type: ignore[misc]
    assert len(codec._unknown) == MOST_FOREIGN
    assert len(codec._readers) - codec._ours == MOST_FOREIGN
    registry.away = True
    assert codec.decode(Purchase, ours) == PURCHASE


def test_headers_to_be_learnt() -> None:
    """What the registry has to be asked for is known beforehand, so that an event loop need not wait in `decode`."""
    registry = MemoryRegistry()
    codec = Codec(registry)
    ours, theirs = codec.encode(PURCHASE), message(5)
    registry.schemas[5] = json.dumps(versions(SurveyResponse)[-1])
    values = [None, b"", b"\x00", b"hello", ours, theirs, theirs + b"x", message(999_999)]
    assert sorted(codec.unread(values)) == [message(5, b""), message(999_999, b"")]
    for header in codec.unread(values):
        codec.learn(header)
    registry.away = True
    assert codec.unread(values) == []
    assert reason_of(lambda: codec.decode(Purchase, theirs)) == "wrong_type"
    assert reason_of(lambda: codec.decode(Purchase, message(999_999))) == "unknown_schema"
    assert Codec().unread(values) == []


def test_whoever_is_patient_waits(caplog: pytest.LogCaptureFixture) -> None:
    """A registry that comes back in time is waited for, with one line in the log; one that does not, is not."""
    registry = MemoryRegistry()
    registry.away = True
    threading.Timer(SHORT_S, lambda: setattr(registry, "away", False)).start()
    codec = Codec(registry, patience_s=10)
    assert [line.getMessage()[:13] for line in caplog.records] == ["registry_away", "registry_back"]
    registry.away = True
    with pytest.raises(RegistryAway):
        Codec(registry, patience_s=0)
    codec = Codec(registry, encodes=False, patience_s=0)
    with pytest.raises(RegistryAway):
        codec.learn(message(5, b""))


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (RegistryPolicy(user_info="ana:p:€"), {"user": "ana:p:€"}),
        (RegistryPolicy(token="a.b-c"), {"token": "a.b-c"}),
    ],
)
def test_who_we_are(policy: RegistryPolicy, wanted: dict[str, str]) -> None:
    """By user and password, or by a token, neither of which is shown; without it we are refused."""
    with registry_server(**wanted) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        assert ConfluentRegistry(address, policy).id_of("nps.Part", RECORD)
        with pytest.raises(RegistryAway, match="NPS_REGISTRY_BASIC_AUTH_USER_INFO") as raised:
            ConfluentRegistry(address, RegistryPolicy(user_info="ana:hunter2")).id_of("nps.Part", RECORD)
    assert "hunter2" not in str(raised.value)
    assert not any(secret in repr(policy) for secret in wanted.values())


@pytest.fixture(params=["confluent", REAL])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a registry without schemas."""
    if request.param == "apicurio":
        with apicurio(tmp_path) as (url, _):
            yield url
    else:
        with registry_server() as server:
            yield server.url


PURCHASES_TEXT = (files("schemas") / "avro" / "purchase.v1.avsc").read_text(encoding="utf-8")


def put(url: str, subject: str, text: str) -> int:
    """Register a schema as an operator does; its id."""
    answer = urllib3.request("POST", f"{url}/subjects/{subject}/versions", json={"schema": text})
    assert answer.status == 200, answer.data
    return int(answer.json()["id"])


@pytest.mark.parametrize("use_latest", [False, True])
def test_schemas_that_others_register(empty: str, use_latest: bool) -> None:
    """Without auto-registration nothing is written: what encodes as our file does will do, all else will not."""
    registry = ConfluentRegistry(empty, RegistryPolicy(auto_register=False, use_latest=use_latest))
    ours = json.dumps(versions(Purchase)[-1])
    with pytest.raises(
        BadInput, match=r"has no schema of nps\.Purchase: register the newest in schemas/avro there, or"
    ):
        registry.id_of("nps.Purchase", ours)
    assert urllib3.request("GET", f"{empty}/subjects").json() == []
    described = {**json.loads(PURCHASES_TEXT), "doc": "Registered by hand."}
    schema_id = put(empty, "nps.Purchase", json.dumps(described))
    assert registry.id_of("nps.Purchase", ours) == schema_id
    fields = [*described["fields"], {"name": "shop", "type": ["null", "string"], "default": None}]
    put(empty, "nps.Purchase", json.dumps({**described, "fields": fields}))
    with pytest.raises(BadInput, match="latest version that differs from ours"):
        registry.id_of("nps.Purchase", ours)


SUBJECTS_OF = {
    "RecordNameStrategy": "nps.Purchase",
    "TopicNameStrategy": "nps.purchases-value",
    "TopicRecordNameStrategy": "nps.purchases-nps.Purchase",
}


@pytest.mark.parametrize(("strategy", "subject"), SUBJECTS_OF.items())
def test_subjects_are_named_as_confluents_serializers_do(empty: str, strategy: str, subject: str) -> None:
    """Every schema of ours lies under the subject that the strategy makes of its topic, its record, or both."""
    data = Codec(ConfluentRegistry(empty, RegistryPolicy(subject_name=strategy))).encode(PURCHASE)
    subjects = urllib3.request("GET", f"{empty}/subjects").json()
    assert subject in subjects
    assert len(subjects) == len(RECORDS)
    latest = urllib3.request("GET", f"{empty}/subjects/{subject}/versions/latest").json()
    assert int.from_bytes(data[1:5], "big") == latest["id"]


@pytest.mark.parametrize(
    "wrong",
    [{"subject_name": "record"}, {"use_latest": True}, {"user_info": "ana"}, {"user_info": "a:b", "token": "t"}],
)
def test_policies_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    """Refused when made, and so at start; no secret is repeated."""
    with pytest.raises(ValueError, match=r"\w") as raised:
        RegistryPolicy(**wrong)
    assert "ana" not in str(raised.value)


@contextmanager
def foreign_schema(text: str, *before: str) -> Iterator[tuple[Codec, bytes]]:
    registry = MemoryRegistry()
    registry.schemas = {**dict(enumerate(before)), 1_000: text}
    registry.references[1_000] = range(len(before))
    yield Codec(registry, encodes=False), message(1_000, b"")


def purchase_with(kind: object) -> str:
    fields = [*versions(Purchase)[-1]["fields"], {"name": "extra", "type": kind}]
    return json.dumps({"type": "record", "name": "Purchase", "namespace": "nps", "fields": fields})


def nested(depth: int, kind: object = "string") -> object:
    for _ in range(depth):
        kind = {"type": "array", "items": kind}
    return kind


HOSTILE = {
    "a record inside itself": purchase_with(["null", "nps.Purchase"]),
    "a record inside another inside itself": purchase_with(
        {"type": "record", "name": "B", "fields": [{"name": "b", "type": {"type": "array", "items": "Purchase"}}]}
    ),
    "nothing, a billion times": purchase_with({"type": "array", "items": "null"}),
    "nothing at all": purchase_with("null"),
    "no fields, a billion times": purchase_with(
        {"type": "array", "items": {"type": "record", "name": "N", "fields": []}}
    ),
    "no bytes, a billion times": purchase_with({"type": "map", "values": {"type": "fixed", "name": "F", "size": 0}}),
    "deep arrays": purchase_with(nested(40)),
    "deeper arrays": purchase_with(nested(300)),
    "deep JSON": "[" * 100_000,
    "huge": purchase_with({"type": "enum", "name": "E", "symbols": [f"s{n}" for n in range(60_000)]}),
    "a name that is not there": purchase_with("shop.Nobody"),
    "JSON Schema": '{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}',
    "Protobuf": 'syntax = "proto3"; message Purchase { string id = 1; }',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_schemas_that_are_not_safe_to_read_with(text: str) -> None:
    """Refused before any byte is read by them: few bytes could keep a reader busy for ever, or end its process."""
    with foreign_schema(text) as (codec, header):
        values = [b"\x02" * 60_000, b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(1), bytes(100)]
        body = Codec().encode(PURCHASE)[10:]
        for value in values:
            assert reason_of(lambda value=value: codec.decode(Purchase, header + body + value)) == "unknown_schema"  # type: ignore[misc]


def test_a_chain_of_names_is_no_way_around() -> None:
    """Types that name each other are as deep as if they were written inside each other."""
    first = '{"type": "record", "name": "x.N0", "fields": [{"name": "a", "type": "int"}]}'
    chain = [
        json.dumps({"type": "record", "name": f"x.N{n}", "fields": [{"name": "a", "type": f"x.N{n - 1}"}]})
        for n in range(1, 50)
    ]
    with foreign_schema(purchase_with(["null", "x.N49"]), first, *chain) as (codec, header):
        assert reason_of(lambda: codec.decode(Purchase, header + bytes(100))) == "unknown_schema"
    with foreign_schema(purchase_with(["null", "x.N9"]), first, *chain[:9]) as (codec, header):
        assert codec.decode(Purchase, header + Codec().encode(PURCHASE)[10:] + b"\x00") == PURCHASE
