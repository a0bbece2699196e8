"""What a request says: its language, the link it is of, its form."""

from urllib.parse import parse_qs

from aiohttp import web

from streams.collector import page
from streams.collector.texts import Texts, chosen

LARGEST_FORM_BYTES = 32_768
"""Of a person's form: several times what its field lets one type."""

_SCORES = frozenset(str(score) for score in page.SCORES)


def texts_of(request: web.Request) -> Texts:
    """The language to answer in."""
    return chosen(visit_of(request).locale, request.headers.get("Accept-Language", ""))


def visit_of(request: web.Request) -> page.Visit:
    """The link, without its query, and the locale that the query names."""
    return page.Visit(f"/r/{request.match_info.get('token', '')}", request.query.get("lang", "")[:20])


def score_of(text: str) -> int | None:
    """A whole number from 0 to 10 as we write it; None for anything else."""
    return int(text) if text in _SCORES else None


async def form_of(request: web.Request) -> dict[str, str]:
    """The first value of each field; what is no UTF-8 is replaced.  Raises HTTPRequestEntityTooLarge."""
    body = await request.read()
    if len(body) > LARGEST_FORM_BYTES:
        raise web.HTTPRequestEntityTooLarge(LARGEST_FORM_BYTES, len(body))
    text = body.decode(errors="replace")
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
