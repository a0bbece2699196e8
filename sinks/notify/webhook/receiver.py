"""Sender of events signed by Standard Webhooks (https://www.standardwebhooks.com), with two secrets during a change.

`webhook-id` is the notification's id, the same at every try, by which the receiver knows what comes again.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from standardwebhooks import Webhook

from schemas.errors import BadInput
from sinks.notify.configuration import ReceiverConfig
from sinks.notify.http_post import HttpService, json_text
from sinks.notify.receiver import Doubt, News, Receipt
from sinks.notify.webhook.event import event_of
from sinks.notify.webhook.secret import key_of


class WebhookReceiver:
    """Receiver of signed events; `old_secret` signs too, until the other side has the new one."""

    doubt = Doubt.REPEAT
    per_minute = 600

    def __init__(self, config: ReceiverConfig, now_s: Callable[[], float] = time.time) -> None:
        self._service = HttpService(config.secret("url"), config.place_of_secret("url"), ca=config.text("ca"))
        names = ["secret", *(["old_secret"] if config.secret("old_secret", "") else [])]
        try:
            self._signers = [Webhook(key_of(config.secret(name), config.place_of_secret(name))) for name in names]
        except ValueError as error:
            raise BadInput(str(error)) from None
        self._now_s = now_s

    def send(self, news: News) -> Receipt:
        """POST the event of news, signed by each secret."""
        text, now_s = json_text(event_of(news)), int(self._now_s())
        at = datetime.fromtimestamp(now_s, UTC)
        headers = {
            "webhook-id": news.notification_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": " ".join(signer.sign(news.notification_id, at, text) for signer in self._signers),
        }
        return Receipt(self._service.post_text(text, headers=headers).line)

    def find(self, news: News) -> Receipt | None:
        """Find nothing: the receiver knows the id when it comes again."""
        return None
