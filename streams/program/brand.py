"""Reader of `[brand]`: the company's name, logo and colour on the collector's page, checked so that all can read it."""

import base64
import binascii
import re
from pathlib import Path

from streams.domain.policy import NO_BRAND, Brand
from streams.program.complaint import error_at
from streams.program.file import BrandTable

LARGEST_LOGO_BYTES = 65_536
"""The largest logo: it is a part of every page."""

LONGEST_NAME_CHARACTERS = 80
LEAST_CONTRAST = 4.5
"""Contrast that WCAG 2.2, success criterion 1.4.3, asks of text."""

BY_DAY, BY_NIGHT = "#ffffff", "#1b232c"
"""Text on the brand's colour by day, and the paper that its lighter shade stands on by night (see `page.css`)."""

_TYPES = {".gif": "gif", ".jpeg": "jpeg", ".jpg": "jpeg", ".png": "png", ".svg": "svg+xml", ".webp": "webp"}
_DATA_URI = re.compile(r"data:image/(gif|jpeg|png|svg\+xml|webp);base64,([A-Za-z0-9+/]+=*)")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def brand_of(table: BrandTable | None, folder: Path) -> Brand:
    """Check the table and read the logo, whose path is relative to `folder`.  Raises ValidationError for the place."""
    if table is None:
        return NO_BRAND
    for key, text in (("name", table.name), ("about", table.about)):
        if len(text) > LONGEST_NAME_CHARACTERS or not (text.strip() or key == "about"):
            raise error_at(f"{key} must have 1 to {LONGEST_NAME_CHARACTERS} characters", f"brand.{key}")
    colour = _checked_colour(table.colour) if table.colour else ""
    return Brand(
        name=table.name.strip(),
        about=table.about.strip() or table.name.strip(),
        logo=_logo(table.logo, folder) if table.logo else "",
        colour=colour,
        colour_at_night=_until_readable(colour, BY_NIGHT, "#ffffff") if colour else "",
    )


def contrast(one: str, other: str) -> float:
    """Contrast of two colours like '#0b5fae', 1 to 21, as WCAG 2.2 defines it."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _checked_colour(text: str) -> str:
    if not _COLOUR.fullmatch(text):
        raise error_at(f"{text!r} is no colour: write it as '#0b5fae'", "brand.colour")
    if (found := contrast(text, BY_DAY)) < LEAST_CONTRAST:
        instead = _until_readable(text, BY_DAY, "#000000")
        raise error_at(
            f"white text on {text!r} has a contrast of {found:.1f}, {LEAST_CONTRAST} is the least that all can read: "
            f"write {instead!r} or a darker colour",
            "brand.colour",
        )
    return text.lower()


def _until_readable(colour: str, against: str, towards: str) -> str:
    """The colour itself or the nearest one towards another that is readable against a third."""
    shades = (_mixed(colour, towards, percent) for percent in range(101))
    return next(shade for shade in shades if contrast(shade, against) >= LEAST_CONTRAST)


def _mixed(colour: str, other: str, percent: int) -> str:
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(one + (two - one) * percent / 100):02x}" for one, two in pairs)


def _channels(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def _luminance(colour: str) -> float:
    """Relative luminance, 0 to 1, as WCAG 2.2 defines it."""
    shares = [channel / 255 for channel in _channels(colour)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _logo(text: str, folder: Path) -> str:
    """The logo as a data URI, from one or from a file."""
    if text.startswith("data:"):
        match = _DATA_URI.fullmatch(text)
        try:
            data = base64.b64decode(match[2], validate=True) if match else b""
        except binascii.Error:
            data = b""
        if match is None or not data:
            raise error_at("logo must look like 'data:image/png;base64,...', or be the path of a file", "brand.logo")
        kind = match[1]
    else:
        kind = _TYPES.get(Path(text).suffix.lower(), "")
        if not kind:
            raise error_at(f"logo {text!r} must end with one of {', '.join(_TYPES)}", "brand.logo")
        try:
            data = (folder / text).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise error_at(
                f"logo {text!r} cannot be read ({reason}): its path is from the program file", "brand.logo"
            ) from None
    if not 0 < len(data) <= LARGEST_LOGO_BYTES:
        raise error_at(f"logo has {len(data)} bytes: at most {LARGEST_LOGO_BYTES}, and not none", "brand.logo")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
