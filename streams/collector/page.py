"""HTML pages of the collector: each a file without anything external, readable without JavaScript on any screen."""

import secrets
from html import escape
from importlib import resources
from typing import NamedTuple

from streams.collector.texts import Texts

LONGEST_COMMENT = 2_000
"""The most characters of a comment that the form takes."""

SCORES = range(11)


class Page(NamedTuple):
    """HTML of a page, and the nonce that its style and script carry."""

    html: str
    nonce: str

    @property
    def policy(self) -> str:
        """The Content-Security-Policy under which nothing but our own style, script and form works."""
        return (
            f"default-src 'none'; img-src data:; style-src 'nonce-{self.nonce}'; script-src 'nonce-{self.nonce}'; "
            "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )


class Visit(NamedTuple):
    """The path of a link, to which its page's form is sent, and the survey's locale."""

    path: str
    locale: str


def thanks(texts: Texts, visit: Visit, score: int, clicked_ms: int) -> Page:
    """Page after a click: thanks, one field for a comment, and a way to change the score."""
    beacon = f'data-seen="{escape(visit.path)}/seen" data-score="{score}" data-at="{clicked_ms}"'
    return _page(
        texts,
        texts.thanks,
        f"<p>{escape(texts.scored.format(score=score))}</p>"
        f"{_form(visit, beacon)}"
        f'<input type="hidden" name="chosen" value="{score}">'
        f'<label for="comment">{escape(texts.reason)}</label>'
        f'<textarea id="comment" name="comment" maxlength="{LONGEST_COMMENT}"></textarea>'
        f'<button class="send">{escape(texts.send)}</button>'
        f"{_scale(texts, escape(texts.change), score)}</form>{_trap(visit)}",
    )


def question(texts: Texts, visit: Visit) -> Page:
    """Page of a link without a score: the question and its scale."""
    scale = _scale(texts, f"<h1>{escape(texts.question)}</h1>", None)
    return _page(texts, texts.question, f"{_form(visit, '')}{scale}</form>{_trap(visit)}", heading=False)


def done(texts: Texts) -> Page:
    """Page after the form was sent."""
    return _page(texts, texts.thanks, f'<p class="done">{escape(texts.done)}</p>')


def closed(texts: Texts) -> Page:
    """Page of every link that is not valid, whatever the reason."""
    return _page(texts, texts.closed, f'<p class="done">{escape(texts.closed_more)}</p>')


def wait(texts: Texts) -> Page:
    """Page after too many requests."""
    return _page(texts, texts.wait, f'<p class="done">{escape(texts.wait_more)}</p>')


def again(texts: Texts) -> Page:
    """Page after an answer that Kafka did not take, or another failure: try again."""
    return _page(texts, texts.again, f'<p class="done">{escape(texts.again_more)}</p>')


def _form(visit: Visit, attributes: str) -> str:
    return (
        f'<form method="post" action="{escape(visit.path)}" {attributes}>'
        f'<input type="hidden" name="lang" value="{escape(visit.locale)}">'
    )


def _scale(texts: Texts, legend: str, current: int | None) -> str:
    buttons = "".join(
        f'<button name="score" value="{score}"{" aria-current=true" if score == current else ""}>{score}</button>'
        for score in SCORES
    )
    ends = f"<span>0 = {escape(texts.lowest)}</span><span>10 = {escape(texts.highest)}</span>"
    return f'<fieldset><legend>{legend}</legend><div class="scale">{buttons}</div><p class="ends">{ends}</p></fieldset>'


def _trap(visit: Visit) -> str:
    """Link that only machines follow: no person sees, hears or reaches it."""
    return f'<a href="{escape(visit.path)}/more" rel="nofollow" tabindex="-1" aria-hidden="true" hidden>more</a>'


def _page(texts: Texts, title: str, body: str, *, heading: bool = True) -> Page:
    nonce = secrets.token_urlsafe(16)
    html = (
        f'<!doctype html><html lang="{texts.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex, nofollow">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style nonce="{nonce}">{_CSS}</style></head>'
        f"<body><main>{f'<h1>{escape(title)}</h1>' if heading else ''}{body}</main>"
        f'<script nonce="{nonce}">{_JS}</script></body></html>'
    )
    return Page(html, nonce)


def _asset(name: str) -> str:
    return (resources.files("streams.collector") / name).read_text(encoding="utf-8")


_CSS = _asset("page.css")
_JS = _asset("page.js")
