"""HTML pages of the collector: each a file without anything external, readable without JavaScript on any screen."""

import secrets
from html import escape
from importlib import resources
from typing import NamedTuple

from streams.collector.texts import Texts
from streams.domain.policy import NO_BRAND, Brand

LONGEST_COMMENT = 2_000
"""The most characters of a comment that the form takes."""

SCORES = range(11)


class Page(NamedTuple):
    """Page in a language, with what it shows below the brand, and the nonce that its style and script carry."""

    texts: Texts
    title: str
    body: str
    nonce: str
    brand: Brand = NO_BRAND

    @property
    def html(self) -> str:
        """The whole page."""
        title = f"{self.title} · {self.brand.name}" if self.brand.name else self.title
        direction = ' dir="rtl"' if self.texts.is_right_to_left else ""
        return (
            f'<!doctype html><html lang="{self.texts.language}"{direction}><head>'
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="robots" content="noindex, nofollow">'
            f'<title>{escape(title)}</title><link rel="icon" href="data:,">'
            f'<style nonce="{self.nonce}">{_CSS}{_colours(self.brand)}</style></head>'
            f"<body><main>{_banner(self.brand)}{self.body}</main>"
            f'<script nonce="{self.nonce}">{_JS}</script></body></html>'
        )

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


def thanks(texts: Texts, visit: Visit, score: int, clicked_ms: int | None) -> Page:
    """Page after a click: thanks, one field for a comment, and a way to change the score.

    `clicked_ms` is the time of the click that the page's beacon confirms; None for a page without a beacon.
    """
    beacon = f'data-score="{score}"' + ("" if clicked_ms is None else f' data-at="{clicked_ms}"')
    return _page(
        texts,
        texts.thanks,
        f"<p>{escape(texts.scored.format(score=score))}</p>"
        f"{_form(visit, beacon)}"
        f'<input type="hidden" name="chosen" value="{score}">'
        f'<label for="comment">{escape(texts.reason)}</label>'
        f'<textarea id="comment" name="comment" dir="auto" maxlength="{LONGEST_COMMENT}"></textarea>'
        f'<button class="send">{escape(texts.send)}</button>'
        f"{_scale(texts, escape(texts.change), score)}</form>{_trap(visit)}",
    )


def question(texts: Texts, visit: Visit, about: str = "") -> Page:
    """Page of a link without a score: the question, what it is `about` if that has a name, and its scale."""
    title, asked = texts.question, escape(texts.question)
    if about:
        title = texts.question_about.format(about=about)
        asked = escape(texts.question_about).format(about=f"<bdi>{escape(about)}</bdi>")
    scale = _scale(texts, f"<h1>{asked}</h1>", None)
    return _page(texts, title, f"{_form(visit, '')}{scale}</form>{_trap(visit)}", heading=False)


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


def _banner(brand: Brand) -> str:
    """Logo and name of the company; the logo is an ornament beside the name that is read aloud."""
    logo = f'<img src="{escape(brand.logo)}" alt="">' if brand.logo else ""
    return f"<header>{logo}<span><bdi>{escape(brand.name)}</bdi></span></header>" if brand.name else ""


def _colours(brand: Brand) -> str:
    """Style of the brand's colour, which by day carries white text and by night dark text."""
    if not brand.colour:
        return ""
    dark = f"@media (prefers-color-scheme: dark) {{ :root {{ --accent: {brand.colour_at_night}; }} }}"
    return f":root {{ --accent: {brand.colour}; }}\n{dark}\n"


def _page(texts: Texts, title: str, body: str, *, heading: bool = True) -> Page:
    return Page(texts, title, f"<h1>{escape(title)}</h1>{body}" if heading else body, secrets.token_urlsafe(16))


def _asset(name: str) -> str:
    return (resources.files("streams.collector") / name).read_text(encoding="utf-8")


_CSS = _asset("page.css")
_JS = _asset("page.js")
