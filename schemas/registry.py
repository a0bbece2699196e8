"""Adapter of the codec's `Registry` port to a Confluent-compatible schema registry, over its REST interface.

404 or 422, whatever the body    KeyError: there is no such schema
all else, or no answer           RegistryAway; it is not asked again for AWAY_S, lest each record of a batch waits
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import urllib3
from fastavro.schema import to_parsing_canonical_form

from schemas import http
from schemas.codec import RegistryAway
from schemas.errors import BadInput
from schemas.foreign import record_schema
from schemas.topics import TOPICS

AWAY_S = 1.0
TIMEOUT_S = 5.0
LARGEST_ANSWER_BYTES = 1 << 20
MOST_REFERENCES = 100
_OK = 200
_NO_SCHEMA = (404, 422)
_REFUSED = (401, 403)
_CONFLICT = 409


SUBJECT_NAMES: dict[str, Callable[[str], str]] = {
    "RecordNameStrategy": lambda record: record,
    "TopicNameStrategy": lambda record: f"{_topic_of(record)}-value",
    "TopicRecordNameStrategy": lambda record: f"{_topic_of(record)}-{record}",
}
"""Subject of a record's schema by the name of the strategy, as Confluent's serializers make it."""


@dataclass(frozen=True, slots=True)
class RegistryPolicy:
    """Use of a registry: who we are, whom we trust, where our schemas are and who puts them there.

    `user_info` is `user:password` and `token` a bearer's; `tls` None trusts what the machine trusts.  Without
    `auto_register` nothing is written: our schema must be there, or a latest version that encodes the same.
    `use_latest` asks for that alone.  Raises ValueError for what does not go together.
    """

    user_info: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    tls: SSLContext | None = None
    subject_name: str = "RecordNameStrategy"
    auto_register: bool = True
    use_latest: bool = False

    def __post_init__(self) -> None:
        if self.subject_name not in SUBJECT_NAMES:
            raise ValueError(f"the subject name strategy is one of {', '.join(SUBJECT_NAMES)}")
        if self.use_latest and self.auto_register:
            raise ValueError("the latest version is used only without registering: turn auto-registration off")
        if self.user_info and ":" not in self.user_info:
            raise ValueError("the user info must look like user:password")
        if self.user_info and self.token:
            raise ValueError("either user and password or a token, not both")


class ConfluentRegistry:
    """Client of the schema registry at an address that may hold user and password.  Connects when first used."""

    def __init__(
        self,
        url: str,
        policy: RegistryPolicy | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy or RegistryPolicy()
        parts = urlsplit(url)
        user = self._policy.user_info or http.user_of(url)
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        token = f"Bearer {self._policy.token}" if self._policy.token else ""
        self._headers = {
            **({"Authorization": token or http.basic(user)} if token or user else {}),
            "Accept": "application/vnd.schemaregistry.v1+json, application/json",
            "Content-Type": "application/vnd.schemaregistry.v1+json",
        }
        self._pool = http.pool_for(self._url, context=self._policy.tls, timeout=timeout_s)
        self._clock = clock
        self._away: tuple[float, str] = (-AWAY_S, "")

    def texts_of(self, schema_id: int) -> list[str]:
        """Look up the JSON of a schema, after that of every schema it refers to.

        Raises KeyError for an unknown id or reference, RegistryAway when there is no answer.
        """
        return self._texts_at(f"/schemas/ids/{schema_id}", set())

    def id_of(self, record: str, schema: str) -> int:
        """Return a schema's id, registering it under the record's subject if it is new and the policy allows it.

        Raises BadInput when the registry does not take or have it, RegistryAway when there is no answer.
        """
        subject, body = self._subject(record), {"schema": schema}
        if self._policy.use_latest:
            return self._latest_id(record, schema)
        status, answer = self._ask("POST", subject, body)
        if status in _NO_SCHEMA and not self._policy.auto_register:
            return self._latest_id(record, schema)
        if status in _NO_SCHEMA:
            refusal, answer = self._ask("POST", f"{subject}/versions", body)
            if refusal == _CONFLICT:  # another process may have registered it at the same time
                status, answer = self._ask("POST", subject, body)
            if refusal in _NO_SCHEMA or (refusal == _CONFLICT and status in _NO_SCHEMA):
                raise BadInput(
                    f"the schema registry at {self._url} does not take the schema of {record} (status {refusal}): "
                    "see the subject's compatibility"
                )
        schema_id = answer.get("id")
        if not isinstance(schema_id, int):
            raise self._is_away(f"it gave no id for {record}")
        return schema_id

    def _latest_id(self, record: str, schema: str) -> int:
        """Return the id of the subject's latest version, which must encode as our schema does.  Raises BadInput."""
        subject = self._subject(record)
        status, answer = self._ask("GET", f"{subject}/versions/latest")
        schema_id = answer.get("id")
        where = f"the schema registry at {self._url}: {unquote(subject.rpartition('/')[2])}"
        if status in _NO_SCHEMA or not isinstance(schema_id, int):
            remedy = "register the newest in schemas/avro there, or set NPS_REGISTRY_AUTO_REGISTER_SCHEMAS=true"
            raise BadInput(f"{where} has no schema of {record}: {remedy}")
        try:
            latest = record_schema(self._texts_at(f"{subject}/versions/latest", set()))
            is_ours = to_parsing_canonical_form(latest) == to_parsing_canonical_form(record_schema([schema]))
        except (KeyError, ValueError):
            is_ours = False
        if not is_ours:
            raise BadInput(f"{where} has a latest version that differs from ours: register the newest in schemas/avro")
        return schema_id

    def _subject(self, record: str) -> str:
        return f"/subjects/{quote(SUBJECT_NAMES[self._policy.subject_name](record), safe='')}"

    def _texts_at(self, path: str, seen: set[str]) -> list[str]:
        """Return the text of the schema at a path, after those it refers to; none for a path that was seen."""
        if path in seen:
            return []
        seen.add(path)
        status, answer = self._ask("GET", path)
        text, references = answer.get("schema"), answer.get("references") or []
        if status != _OK or not isinstance(text, str) or len(seen) > MOST_REFERENCES:
            raise KeyError(path)
        try:
            referred = [f"/subjects/{quote(r['subject'], safe='')}/versions/{int(r['version'])}" for r in references]
        except (TypeError, ValueError) as error:
            raise KeyError(path) from error
        return [*(earlier for at in referred for earlier in self._texts_at(at, seen)), text]

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Return the status, 200 for all of success, and the object in the answer; empty where there is none."""
        since_s, problem = self._away
        if self._clock() - since_s < AWAY_S:
            raise RegistryAway(problem)
        try:
            response = self._pool.request(
                method, self._url + path, headers=self._headers, preload_content=False,
                body=None if body is None else json.dumps(body).encode(),
            )  # fmt: skip
            text = response.read(LARGEST_ANSWER_BYTES, decode_content=True)
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            advice = ": see NPS_REGISTRY_SSL_CA" if http.is_about_certificates(error) else ""
            problem = http.tls_trouble(error) or f"{type(error).__name__}, no answer"
            raise self._is_away(f"{problem}{advice}") from error
        status = response.status
        if status in _REFUSED:
            raise self._is_away(f"it refuses us with status {status}: see NPS_REGISTRY_BASIC_AUTH_USER_INFO")
        if status in (*_NO_SCHEMA, _CONFLICT):
            return status, {}
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if not 200 <= status < 300 or not isinstance(answer, dict):
            raise self._is_away(f"status {status}")
        return _OK, answer

    def _is_away(self, problem: str) -> RegistryAway:
        problem = f"cannot use the schema registry at {self._url}: {problem}"
        self._away = self._clock(), problem
        return RegistryAway(problem)


def _topic_of(record: str) -> str:
    """The topic that carries a record, by the record's full name.  Raises BadInput for a record on no topic."""
    name = record.rpartition(".")[2]
    topic = next((topic.name for topic in TOPICS if topic.record is not None and topic.record.__name__ == name), None)
    if topic is None:
        raise BadInput(
            f"{record} is on no topic, whose name its subject needs: take another NPS_REGISTRY_SUBJECT_NAME_STRATEGY"
        )
    return topic
