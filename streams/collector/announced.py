"""Requests that announce themselves as nobody's: prefetches of browsers, previews of messengers, and robots.

Names that a person's browser may carry too are left out on purpose: that of an app which shows pages itself (`FBAN`,
`Instagram`, `LinkedInApp`, `Telegram-Android`, `Twitter for iPhone`), and of phones such as the Cubot.
"""

import re
from collections.abc import Mapping

_PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_PREFETCHES = re.compile(r"\b(prefetch|prerender|preview)\b", re.IGNORECASE)

_AGENTS = (
    r"(?<!cu)bot\b",  # Slackbot, Twitterbot, LinkedInBot, TelegramBot, Discordbot, Googlebot, Applebot, Facebot
    r"crawler|spider|scraper|slurp",
    r"preview",  # SkypeUriPreview (Teams), MicrosoftPreview, BingPreview, Snap URL Preview Service
    r"facebookexternal|facebookcatalog|meta-external",  # Facebook, Instagram, iMessage, LINE
    r"whatsapp/",  # also Signal
    r"slack-imgproxy|linkexpanding",
    r"\bms-?office\b|microsoft office|microsoft-webdav",  # Office asks before it opens a link
    r"\bgoogle-|-google\b|google(other|docs|messages|imageproxy|producer)|google favicon|google\.com/\+/web",
    r"yahoomailproxy|chrome-lighthouse|w3c_validator|ia_archiver",
    r"embedly|iframely|vkshare|kakaotalk-scrap|mastodon/|cardyb|tumblr/|flipboardproxy|bitrix|qwantify|unfurl",
    r"barracuda|mimecast|proofpoint",
)
_ANNOUNCED_AGENT = re.compile("|".join(_AGENTS), re.IGNORECASE)


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """True for a page that a browser loads before anybody asked to see it."""
    return any(_PREFETCHES.search(headers.get(name, "")) for name in _PREFETCH_HEADERS)


def is_robot(headers: Mapping[str, str]) -> bool:
    """True for a user agent that says it is a messenger's preview, a crawler or another robot."""
    return bool(_ANNOUNCED_AGENT.search(headers.get("User-Agent", "")[:1_000]))
