"""Sender to a webhook of a chat: a message for all news; nothing there tells the same message from another."""

from collections.abc import Callable

from schemas.oncall import Facts
from sinks.notify.configuration import ReceiverConfig
from sinks.notify.http_post import HttpService
from sinks.notify.receiver import Doubt, News, Receipt


class HookReceiver:
    """Webhook of one channel, of Slack or Teams; its address is the secret, `message_of` makes the body of news."""

    doubt = Doubt.GIVE_UP
    per_minute = 60

    def __init__(self, config: ReceiverConfig, message_of: Callable[[Facts], dict[str, object]]) -> None:
        self._service = HttpService(config.secret("url"), config.place_of_secret("url"), ca=config.text("ca"))
        self._message_of = message_of

    def send(self, news: News) -> Receipt:
        """Post a message of these news."""
        return Receipt(self._service.post(self._message_of(news.facts)).line)

    def find(self, news: News) -> Receipt | None:
        """Find nothing: the channel cannot be read."""
        return None
