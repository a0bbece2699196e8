"""Sender to an incoming webhook of Slack: a message for all news; nothing there tells the same message from another."""

from sinks.notify.configuration import ReceiverConfig
from sinks.notify.http_post import HttpService
from sinks.notify.receiver import Doubt, News, Receipt
from sinks.notify.slack.message import message_of


class SlackWebhookReceiver:
    """Incoming webhook of one channel; its address is the secret."""

    doubt = Doubt.GIVE_UP
    per_minute = 60

    def __init__(self, config: ReceiverConfig) -> None:
        self._service = HttpService(config.secret("url"), config.place_of_secret("url"), ca=config.text("ca"))

    def send(self, news: News) -> Receipt:
        """Post a message of these news."""
        return Receipt(self._service.post(message_of(news.facts)).line)

    def find(self, news: News) -> Receipt | None:
        """Find nothing: the channel cannot be read."""
        return None
