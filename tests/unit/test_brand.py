"""The brand in the program file: contrast, logo and names are checked when the file is loaded, in one line."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.collector import page
from streams.collector.texts import TEXTS
from streams.domain.policy import NO_BRAND, Brand
from streams.errors import BadProgram
from streams.program import load, parse
from streams.program.brand import BY_DAY, BY_NIGHT, LEAST_CONTRAST, contrast
from tests.support.programs import program

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PNG_URI = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def branded(**keys: str) -> Brand:
    """The brand of a program file that has these keys."""
    return parse(program() + brand(**keys), "nps.toml").brand


def brand(**keys: str) -> str:
    """The table of a brand."""
    return "\n[brand]\n" + "".join(f'{key} = "{value}"\n' for key, value in {"name": "Acme", **keys}.items())


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.48),
        ("#767676", "#ffffff", 4.54),
        ("#0000ff", "#ffffff", 8.59),
    ],
)
def test_contrast_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    """Known pairs, whichever comes first."""
    assert round(contrast(one, other), 2) == round(contrast(other, one), 2) == ratio


@given(st.integers(0, 0xFFFFFF))
def test_any_colour_is_readable_or_refused_with_one_that_is(number: int) -> None:
    """By day and by night; the colour that the refusal names is taken."""
    colour = f"#{number:06x}"
    try:
        found = branded(colour=colour)
    except BadProgram as error:
        assert contrast(colour, BY_DAY) < LEAST_CONTRAST
        found = branded(colour=str(error).rpartition("write '")[2][:7])
    assert contrast(found.colour, BY_DAY) >= LEAST_CONTRAST
    assert contrast(found.colour_at_night, BY_NIGHT) >= LEAST_CONTRAST


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"colour": "#ffcc00"}, "white text on '#ffcc00' has a contrast of 1.5, 4.5 is the least that all can read"),
        ({"colour": "red"}, "'red' is no colour: write it as '#0b5fae'"),
        ({"colour": "#fff"}, "'#fff' is no colour"),
        ({"colour": "#0b5fae;}body{display:none}"}, "is no colour"),
        ({"logo": "https://example.org/logo.png"}, "cannot be read"),
        ({"logo": "logo.bmp"}, "must end with one of .gif, .jpeg, .jpg, .png, .svg, .webp"),
        ({"logo": "missing.png"}, "logo 'missing.png' cannot be read (No such file or directory)"),
        ({"logo": "data:text/html;base64,AAAA"}, "logo must look like 'data:image/png;base64,...'"),
        ({"logo": "data:image/png;base64,A"}, "logo must look like"),
        ({"logo": "data:image/png;base64,"}, "logo must look like"),
        ({"logo": f"data:image/png;base64,{'A' * 100_000}"}, "logo has 75000 bytes: at most 65536"),
        ({"name": " "}, "name must have 1 to 80 characters"),
        ({"name": "x" * 81}, "name must have 1 to 80 characters"),
        ({"about": "x" * 81}, "about must have 1 to 80 characters"),
        ({"color": "#0b5fae"}, "there is no key 'color' here, did you mean 'colour'?"),
    ],
)  # fmt: skip
def test_a_wrong_brand_is_refused_in_one_line(keys: dict[str, str], says: str) -> None:
    """With the file, the line of the key, and what to do."""
    text = program() + brand(**keys)
    key, begins = next(iter(keys)), text[: text.index("[brand]")].count("\n")
    line = next(n for n, each in enumerate(text.splitlines(), 1) if n > begins and each.startswith(f"{key} ="))
    with pytest.raises(BadProgram) as caught:
        parse(text, "nps.toml")
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"nps.toml:{line}: ")
    assert "\n" not in str(caught.value)


def test_a_logo_is_read_from_beside_the_program_file(tmp_path: Path) -> None:
    """Whatever the working directory; or it is in the file itself."""
    (tmp_path / "brand").mkdir()
    (tmp_path / "brand" / "logo.PNG").write_bytes(PNG)
    (tmp_path / "nps.toml").write_text(program() + brand(logo="brand/logo.PNG"))
    assert load(tmp_path / "nps.toml").brand.logo == branded(logo=PNG_URI).logo == PNG_URI
    (tmp_path / "brand" / "logo.PNG").write_bytes(bytes(65_537))
    with pytest.raises(BadProgram, match="logo has 65537 bytes"):
        load(tmp_path / "nps.toml")


def test_a_brand_changes_no_decision() -> None:
    """The program's hash is that of the file without it; without a brand nothing is shown."""
    plain, named = parse(program(), "nps.toml"), parse(program() + brand(colour="#0b5fae"), "nps.toml")
    assert plain.hash == named.hash
    assert (plain.brand, named.brand.about) == (NO_BRAND, "Acme")
    assert "<header>" not in page.done(TEXTS["en"]).html


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><b>', "{about}", "{0}", "</title>", "\u202eemca"])
def test_a_brand_is_text(name: str) -> None:
    """In the title, the header and the question of every language; a sentence about it is whole."""
    shown = Brand(name=name, about=name, logo=PNG_URI, colour="#0b5fae", colour_at_night="#7fbcf5")
    for texts in TEXTS.values():
        html = page.question(texts, page.Visit("/r/t", "en"), name)._replace(brand=shown).html
        assert (html.count("<script"), html.count("</title>"), html.count("<b>")) == (1, 1, 0)
        assert html.count("<bdi>") == 2
