"""Adapter of the codec's `Registry` port to a Confluent-compatible schema registry, over its REST interface.

404 or 422, whatever the body    KeyError: there is no such schema
all else, or no answer           RegistryAway; it is not asked again for AWAY_S, lest each record of a batch waits
"""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import urllib3

from schemas.codec import RegistryAway
from schemas.errors import BadInput

AWAY_S = 1.0
TIMEOUT_S = 5.0
LARGEST_ANSWER_BYTES = 1 << 20
MOST_REFERENCES = 100
_OK = 200
_NO_SCHEMA = (404, 422)
_REFUSED = (401, 403)
_CONFLICT = 409


class ConfluentRegistry:
    """Client of the schema registry at an address that may hold user and password.  Connects when first used."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.monotonic) -> None:
        parts = urlsplit(url)
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._headers = {
            **urllib3.make_headers(basic_auth=user),
            "Accept": "application/vnd.schemaregistry.v1+json, application/json",
            "Content-Type": "application/vnd.schemaregistry.v1+json",
        }
        self._pool = urllib3.PoolManager(timeout=timeout_s, retries=False)
        self._clock = clock
        self._away: tuple[float, str] = (-AWAY_S, "")

    def texts_of(self, schema_id: int) -> list[str]:
        """Look up the JSON of a schema, after that of every schema it refers to.

        Raises KeyError for an unknown id or reference, RegistryAway when there is no answer.
        """
        return self._texts_at(f"/schemas/ids/{schema_id}", set())

    def id_of(self, record: str, schema: str) -> int:
        """Return a schema's id, registering it under the record's name if it is new.

        Raises BadInput when the registry does not take it, RegistryAway when there is no answer.
        """
        subject, body = f"/subjects/{quote(record, safe='')}", {"schema": schema}
        status, answer = self._ask("POST", subject, body)
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
            raise self._is_away(f"{type(error).__name__}, no answer") from error
        status = response.status
        if status in _REFUSED:
            raise self._is_away(f"it refuses us with status {status}: see NPS_REGISTRY_URL")
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
