"""Alerts to a webhook: one signed JSON POST for each, recognisable when it comes again."""

import json
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import urllib3

from schemas.events import Alert
from sinks.notify.notifier import GiveUp, TryLater
from sinks.notify.webhook.signature import sign

TOO_MANY_REQUESTS = 429


class WebhookNotifier:
    """One receiver.  Raises ValueError for an address that is not plain http(s)."""

    def __init__(self, url: str, secret: str, timeout_s: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("the webhook's URL must look like https://host/path, without a user")
        if not secret:
            raise ValueError("the webhook needs a secret, so that its receiver can tell us from others")
        self._url = url
        self._where = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        self._secret = secret
        self._pool = urllib3.PoolManager(retries=False, timeout=timeout_s)

    def deliver(self, alert: Alert) -> None:
        """POST the alert.  Raises TryLater (no answer, 429, 5xx, with Retry-After) or GiveUp (all else but 2xx)."""
        body = json.dumps(alert._asdict(), ensure_ascii=False).encode()
        now_s = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "Nps-Signature": sign(self._secret, body, now_s),
            "Nps-Timestamp": str(now_s),
            "Idempotency-Key": alert.alert_id,
        }
        try:
            reply = self._pool.request("POST", self._url, body=body, headers=headers, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TryLater(f"{self._where} does not answer: {type(error).__name__}") from error
        except ValueError as error:
            raise GiveUp(f"the alert makes no valid request: {error}") from error
        status = reply.status
        if status == TOO_MANY_REQUESTS or status >= 500:
            raise TryLater(
                f"{self._where} answered {status}", retry_after_s(reply.headers.get("Retry-After", ""), now_s)
            )
        if not 200 <= status < 300:
            raise GiveUp(f"{self._where} answered {status}")


def retry_after_s(header: str, now_s: int) -> float:
    """The wait that a Retry-After header asks for, in seconds or as a date; 0 for none and for nonsense."""
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now_s)
    except (ValueError, TypeError, OverflowError):
        return 0.0
