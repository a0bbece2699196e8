"""Sender of alerts to GoAlert."""

from sinks.notify.configuration import ReceiverConfig
from sinks.notify.goalert.request import alert_of
from sinks.notify.http_post import HttpService
from sinks.notify.receiver import Doubt, News, Receipt


class GoAlertReceiver:
    """Generic integration key of a GoAlert service; its address holds the token."""

    doubt = Doubt.REPEAT
    per_minute = 600

    def __init__(self, config: ReceiverConfig) -> None:
        self._service = HttpService(config.secret("url"), config.place_of_secret("url"), ca=config.text("ca"))

    def send(self, news: News) -> Receipt:
        """Send the alert of news."""
        alert = alert_of(news)
        return Receipt("not told: it knows no acknowledging from outside" if alert is None else self._post(alert))

    def find(self, news: News) -> Receipt | None:
        """Find nothing: sending again pages nobody twice."""
        return None

    def _post(self, alert: dict[str, object]) -> str:
        return self._service.post(alert).line
