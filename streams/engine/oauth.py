"""Tokens for OAUTHBEARER, which aiokafka wants to be given; librdkafka fetches its own by the same settings."""

import asyncio
import json
import time
from collections.abc import Mapping
from urllib.parse import urlencode

from aiokafka.abc import AbstractTokenProvider
from urllib3.exceptions import HTTPError

from schemas import http
from streams.errors import BrokerAway
from streams.kafka.security import oauth_context

FRESH_SHARE = 0.8
"""Share of a token's life after which the next connection gets a new one."""

_TIMEOUT_S = 10.0
_LARGEST_ANSWER_BYTES = 1 << 20


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is not typed
    """Provider of tokens by client credentials (RFC 6749, 4.4); one token serves all connections while it is fresh."""

    def __init__(self, security: Mapping[str, str]) -> None:
        self._url = security["sasl.oauthbearer.token.endpoint.url"]
        self._pool = http.pool_for(self._url, context=oauth_context(security), timeout=_TIMEOUT_S)
        user = f"{security['sasl.oauthbearer.client.id']}:{security['sasl.oauthbearer.client.secret']}"
        self._headers = {
            "Authorization": http.basic(user),
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        scope = security.get("sasl.oauthbearer.scope")
        self._body = urlencode({"grant_type": "client_credentials", **({"scope": scope} if scope else {})})
        self._lock = asyncio.Lock()
        self._token, self._fresh_until_s = "", 0.0

    async def token(self) -> str:
        """Return a fresh token.  Raises BrokerAway when the server of tokens gives none."""
        async with self._lock:
            if time.monotonic() >= self._fresh_until_s:
                asked_s = time.monotonic()
                self._token, life_s = await asyncio.to_thread(self._fetch)
                self._fresh_until_s = asked_s + FRESH_SHARE * life_s
            return self._token

    def _fetch(self) -> tuple[str, float]:
        """Ask for a token; it, and its life in seconds."""
        try:
            answer = self._pool.request(
                "POST", self._url, body=self._body, headers=self._headers, redirect=False, preload_content=False
            )
            text = answer.read(_LARGEST_ANSWER_BYTES, decode_content=True)
            answer.release_conn()
        except HTTPError as error:
            problem = http.tls_trouble(error) or f"{type(error).__name__}, no answer"
            raise BrokerAway(f"no token from NPS_KAFKA_OAUTH_URL: {problem}") from error
        try:
            said = json.loads(text)
            return str(said["access_token"]), float(said.get("expires_in", 0))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BrokerAway(f"no token from NPS_KAFKA_OAUTH_URL: it answered {answer.status}") from error
