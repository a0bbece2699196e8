"""Sender of events to PagerDuty."""

from sinks.notify.configuration import ReceiverConfig
from sinks.notify.http_post import HttpService
from sinks.notify.pagerduty.request import event_of
from sinks.notify.receiver import Doubt, News, Receipt

URL = "https://events.pagerduty.com/v2/enqueue"


class PagerDutyReceiver:
    """Integration of a PagerDuty service; `url` is events.eu.pagerduty.com for accounts in the EU."""

    doubt = Doubt.REPEAT
    per_minute = 120

    def __init__(self, config: ReceiverConfig) -> None:
        self._key = config.secret("key")
        self._service = HttpService(config.text("url", URL), config.place("url"), ca=config.text("ca"))

    def send(self, news: News) -> Receipt:
        """Send the event of news; the dedup key is their incident's id."""
        reply = self._service.post(event_of(news, self._key))
        return Receipt(reply.line, str(reply.json.get("dedup_key", news.incident_id)))

    def find(self, news: News) -> Receipt | None:
        """Find nothing: sending again pages nobody twice."""
        return None
