"""Notifier that posts alerts as JSON, signed by Standard Webhooks (https://www.standardwebhooks.com).

`webhook-id` is the alert's id, the same at every try, by which the receiver knows what comes again; `webhook-timestamp`
is the time of the try in Unix seconds; `webhook-signature` covers both and the body.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from standardwebhooks import Webhook
from urllib3.exceptions import HTTPError

from schemas import http
from schemas.events import Alert
from sinks.notify.http_post import retry_after_s
from sinks.notify.notifier import GiveUp, TryLater
from sinks.notify.webhook.secret import key_of

TRY_LATER = frozenset({404, 408, 421, 423, 425, 429, 499})
"""Client errors that may pass: a receiver or its gateway reloads, hurries, locks, is not the right one, is too busy."""


class WebhookNotifier:
    """Sender to one webhook.  Raises ValueError for an address that is not plain http(s) or a secret that is too short.

    `secret` is `whsec_` and base64, or any other text (see `key_of`); an error repeats neither it nor the address.
    """

    def __init__(
        self, url: str, secret: str, timeout_s: float = 10.0, *, now_s: Callable[[], float] = time.time
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("NPS_WEBHOOK_URL must look like https://host/path, without a user")
        self._url = url
        self._receiver = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        self._signer = Webhook(key_of(secret))
        self._now_s = now_s
        self._pool = http.pool_for(url, timeout=timeout_s)

    def deliver(self, alert: Alert) -> None:
        """POST the alert.  Raises TryLater (no answer, TRY_LATER, 5xx; with Retry-After), GiveUp for all but 2xx."""
        text = json.dumps(alert._asdict(), ensure_ascii=False)
        now_s = int(self._now_s())
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": alert.alert_id,
            "webhook-id": alert.alert_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": self._signer.sign(alert.alert_id, datetime.fromtimestamp(now_s, UTC), text),
        }
        try:
            reply = self._pool.request("POST", self._url, body=text.encode(), headers=headers, redirect=False)
        except (HTTPError, OSError) as error:
            raise TryLater(
                f"{self._receiver} does not answer: {http.tls_trouble(error) or type(error).__name__}"
            ) from error
        except ValueError as error:
            raise GiveUp(f"the alert makes no valid request: {error}") from error
        status = reply.status
        if status in TRY_LATER or status >= 500:
            raise TryLater(f"{self._receiver} answered {status}", retry_after_s(reply.headers.get("Retry-After", "")))
        if not 200 <= status < 300:
            raise GiveUp(f"{self._receiver} answered {status}")
