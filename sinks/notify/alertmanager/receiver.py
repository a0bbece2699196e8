"""Sender of alerts to Alertmanager: news at once, and all that is open every minute."""

import time
from collections.abc import Callable, Iterable

from sinks.notify.alertmanager.alerts import RESOLVED_FOR_MS, PostableAlert, alert_of, ended, labels_of
from sinks.notify.configuration import ReceiverConfig
from sinks.notify.http_post import HttpService
from sinks.notify.receiver import Doubt, News, Receipt

REPEAT_MS = 60_000
MOST_OPEN = 10_000
"""Upper bound of incidents that are repeated; beyond them the one that was told of first is left to end by itself."""

POSTED_TOGETHER = 500


class AlertmanagerReceiver:
    """API of an Alertmanager; `now_ms` is the wall clock.  Its address may hold user and password."""

    doubt = Doubt.REPEAT
    per_minute = 6_000

    def __init__(self, config: ReceiverConfig, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        url = config.secret("url").rstrip("/")
        self._service = HttpService(url, config.place_of_secret("url"), ca=config.text("ca"))
        self._now_ms = now_ms
        self._told: dict[str, News] = {}
        self._repeat_ms = 0

    def restore(self, told: Iterable[News]) -> None:
        """Take over what was told before a restart, and repeat it at once."""
        for news in told:
            self._remember(news)
        self._repeat_ms = 0

    def send(self, news: News) -> Receipt:
        """Post the alert of news; one of the severity before ends."""
        now_ms = self._now_ms()
        before = self._told.get(news.incident_id)
        self._remember(news)
        alerts = [alert_of(news, now_ms)]
        if before is not None and labels_of(before) != labels_of(news):
            alerts.append(ended(before, now_ms))
        return Receipt(self._post(alerts))

    def find(self, news: News) -> Receipt | None:
        """Find nothing: the same labels are the same alert."""
        return None

    def repeat(self, now_ms: int) -> None:
        """Post all that is open, and for five minutes what is resolved, once a minute."""
        if now_ms < self._repeat_ms:
            return
        self._repeat_ms = now_ms + REPEAT_MS
        for incident_id in [id_ for id_, news in self._told.items() if _is_over(news, now_ms)]:
            del self._told[incident_id]
        alerts = [alert_of(news, now_ms) for news in self._told.values()]
        for first in range(0, len(alerts), POSTED_TOGETHER):
            self._post(alerts[first : first + POSTED_TOGETHER])

    def _remember(self, news: News) -> None:
        self._told[news.incident_id] = news
        if len(self._told) > MOST_OPEN:
            del self._told[next(iter(self._told))]

    def _post(self, alerts: list[PostableAlert]) -> str:
        return self._service.post(alerts, "/api/v2/alerts").line


def _is_over(news: News, now_ms: int) -> bool:
    return news.facts.state == "resolved" and now_ms - news.time_ms > RESOLVED_FOR_MS
