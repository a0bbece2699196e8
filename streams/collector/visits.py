"""Parts of a request: its language, its link, its score, its form and the addresses it came by."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from aiohttp import web

from streams.collector import page
from streams.collector.texts import Texts, texts_for

LARGEST_FORM_BYTES = 32_768
"""The largest form, as it is sent and as it is read: several times the longest comment that its field takes."""

OLDEST_CLICK_MS = 86_400_000
"""The longest time from a click to a beacon of its page."""

_SCORES = frozenset(str(score) for score in page.SCORES)


def texts_of(request: web.Request) -> Texts:
    """Texts in the language to answer in."""
    return texts_for(visit_of(request).locale, request.headers.get("Accept-Language", ""))


def visit_of(request: web.Request) -> page.Visit:
    """Path of the link, without its query, and the locale that the query names."""
    return page.Visit(f"/r/{request.match_info.get('token', '')}", request.query.get("lang", "")[:20])


def score_of(text: str) -> int | None:
    """Score of a text, a whole number from 0 to 10 as our links write it; None for any other text."""
    return int(text) if text in _SCORES else None


def forwarded_for(request: web.Request) -> str:
    """Addresses that proxies say the request came by, separated by commas, those of the nearest proxy last.

    `X-Forwarded-For`, all lines of it, or else the `for` of each element of `Forwarded` (RFC 7239).
    """
    if lines := request.headers.getall("X-Forwarded-For", []):
        return ",".join(lines)
    return ",".join(hop.get("for", "") for hop in request.forwarded)


def clicked_of(fields: Mapping[str, str], now_ms: int) -> int | None:
    """Time of the click that a page is of, in its field `at`, in milliseconds; None unless within the last day."""
    text = fields.get("at", "")
    clicked_ms = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
    return clicked_ms if now_ms - OLDEST_CLICK_MS <= clicked_ms <= now_ms else None


async def form_of(request: web.Request) -> dict[str, str]:
    """Fields of the form, the first value of each; bytes that are no UTF-8 are replaced.

    Raises HTTPRequestEntityTooLarge above `LARGEST_FORM_BYTES`, before or after that.
    """
    body = await request.read()
    text = body.decode(errors="replace")
    size_bytes = max(len(body), len(text.encode()))
    if size_bytes > LARGEST_FORM_BYTES:
        raise web.HTTPRequestEntityTooLarge(LARGEST_FORM_BYTES, size_bytes)
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
