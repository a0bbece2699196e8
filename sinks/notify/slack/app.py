"""Sender to a Slack app: one message for each incident, changed by `chat.update`, with news in its thread.

A message's metadata name its notification, by which it is found in the channel's history when in doubt.  The app needs
the scopes chat:write and, for that search, channels:history (groups:history in a private channel).
"""

from typing import Any
from urllib.parse import urlencode

from sinks.notify.configuration import ReceiverConfig
from sinks.notify.http_post import HttpService, Reply
from sinks.notify.notifier import GiveUp, TryLater
from sinks.notify.receiver import Doubt, InDoubt, News, Receipt
from sinks.notify.slack.message import message_of, news_line

URL = "https://slack.com/api"
EVENT_TYPE = "nps_incident"
GONE = frozenset({"message_not_found", "cant_update_message", "thread_not_found"})
LATER = frozenset({"ratelimited", "rate_limited", "service_unavailable", "team_added_to_org"})
UNSURE = frozenset({"internal_error", "fatal_error", "request_timeout"})
PAGE_MESSAGES = 200
MOST_PAGES = 5
"""Pages of history that are searched: 1,000 messages since the news were decided."""


class SlackAppReceiver:
    """Channel of a Slack workspace, reached by a bot token.  `ref` of its messages is channel id and `ts`."""

    doubt = Doubt.LOOK_UP
    per_minute = 60

    def __init__(self, config: ReceiverConfig) -> None:
        self._headers = {"Authorization": f"Bearer {config.secret('token')}"}
        self._channel = config.text("channel", None)
        self._service = HttpService(config.text("url", URL), config.place("url"), ca=config.text("ca"))

    def send(self, news: News) -> Receipt:
        """Post the incident's message, or change it and add a line to its thread.  A deleted one is posted again."""
        if not news.ref:
            return self._post(news)
        channel, _, ts = news.ref.partition(":")
        changed = {**message_of(news.facts), "channel": channel, "ts": ts, "metadata": _metadata(news)}
        if _error(self._call("chat.update", changed)) in GONE:
            return self._post(news)
        line = {
            "channel": channel, "thread_ts": ts, "text": news_line(news.facts), "metadata": _metadata(news),
            "unfurl_links": False,
        }  # fmt: skip
        _checked(self._call("chat.postMessage", line))
        return Receipt("message changed, news in its thread", news.ref)

    def find(self, news: News) -> Receipt | None:
        """Search the channel, or the incident's thread, for the message of these news."""
        channel, _, ts = news.ref.partition(":")
        if ts:
            method, query = "conversations.replies", {"channel": channel, "ts": ts}
        else:
            method, query = "conversations.history", {"channel": self._channel}
        oldest = max(0.0, news.time_ms / 1_000 - 60)  # clocks of Slack and ours may differ
        query |= {"oldest": f"{oldest:.6f}", "limit": str(PAGE_MESSAGES), "include_all_metadata": "true"}
        for _ in range(MOST_PAGES):
            page = _checked(self._get(f"{method}?{urlencode(query)}"))
            for message in page.get("messages", ()):
                # the first message of a thread bears the metadata of its last change: only an answer proves the news
                if message.get("ts") != ts and _notification_id(message) == news.notification_id:
                    return Receipt("found in the channel", news.ref or f"{self._channel}:{message['ts']}")
            if not (cursor := (page.get("response_metadata") or {}).get("next_cursor")):
                return None
            query["cursor"] = cursor
        return None

    def _post(self, news: News) -> Receipt:
        posted = {
            **message_of(news.facts), "channel": self._channel, "metadata": _metadata(news), "unfurl_links": False,
        }  # fmt: skip
        reply = _checked(self._call("chat.postMessage", posted))
        return Receipt(f"posted as {reply.get('ts')}", f"{reply.get('channel', self._channel)}:{reply.get('ts')}")

    def _call(self, method: str, body: dict[str, Any]) -> Reply:
        return self._service.post(body, f"/{method}", self._headers)

    def _get(self, path: str) -> Reply:
        return self._service.get(f"/{path}", self._headers)


def _metadata(news: News) -> dict[str, Any]:
    payload = {"notification_id": news.notification_id, "incident_id": news.incident_id, "seq": news.seq}
    return {"event_type": EVENT_TYPE, "event_payload": payload}


def _notification_id(message: dict[str, Any]) -> object:
    return ((message.get("metadata") or {}).get("event_payload") or {}).get("notification_id")


def _error(reply: Reply) -> str:
    """Error of an answer that the caller can mend by posting anew; empty for success.  Raises for any other."""
    error = str(reply.json.get("error", ""))
    if error not in GONE:
        _checked(reply)
        return ""
    return error


def _checked(reply: Reply) -> dict[str, Any]:
    """Object of a reply that is well.  Raises TryLater, InDoubt or GiveUp with the error's name."""
    found = reply.json
    if found.get("ok") is True:
        return found
    error = str(found.get("error", "no JSON"))
    said = f"Slack answered {error}"[:200]
    if error in LATER:
        raise TryLater(said)
    raise InDoubt(said) if error in UNSURE or not found else GiveUp(said)
