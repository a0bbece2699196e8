"""Parts of a request: its language, its link, its score and its form."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from aiohttp import web

from streams.collector import page
from streams.collector.texts import Texts, texts_for

LARGEST_FORM_BYTES = 32_768
"""The largest body of the page's form: several times the longest comment that its field takes."""

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


def clicked_of(fields: Mapping[str, str], now_ms: int) -> int | None:
    """Time of the click that a page is of, in its field `at`, in milliseconds; None unless within the last day."""
    text = fields.get("at", "")
    clicked_ms = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
    return clicked_ms if now_ms - OLDEST_CLICK_MS <= clicked_ms <= now_ms else None


async def form_of(request: web.Request) -> dict[str, str]:
    """Fields of the form, the first value of each; bytes that are no UTF-8 are replaced.

    Raises HTTPRequestEntityTooLarge above `LARGEST_FORM_BYTES`.
    """
    body = await request.read()
    if len(body) > LARGEST_FORM_BYTES:
        raise web.HTTPRequestEntityTooLarge(LARGEST_FORM_BYTES, len(body))
    text = body.decode(errors="replace")
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
