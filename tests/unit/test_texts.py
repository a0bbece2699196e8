"""The collector's texts: one file a language, all with the same keys, and a file that is wrong is refused."""

import tomllib
from importlib import resources
from pathlib import Path

import pytest

from streams.collector.texts import TEXTS, Texts, parse_texts

TEXT_FILES = Path(str(resources.files("streams.collector.texts")))


def test_every_language_has_the_same_keys() -> None:
    """In the same order, so that two files can be read side by side; the languages are the files that there are."""
    files = {path.stem: tomllib.loads(path.read_text()) for path in TEXT_FILES.glob("*.toml")}
    assert files.keys() == TEXTS.keys()
    assert {tuple(keys) for keys in files.values()} == {Texts._fields[1:]}


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("send = ", "# ", "key 'send' is missing"),
        ("send = ", "sned = ", "key 'send' is missing, key 'sned' is unknown"),
        ("send = ", 'more = "x"\nsend = ', "key 'more' is unknown"),
        ('send = "Send"', 'send = ""', "key 'send' is no sentence"),
        ('send = "Send"', "send = 1", "key 'send' is no sentence"),
        ('send = "Send"', 'language = "de"\nsend = "Send"', "key 'language' is unknown"),
        ('send = "Send"', "send = Send", r"Invalid value \(at line \d+, column \d+\)"),
    ],
)
def test_a_wrong_file_is_refused(was: str, becomes: str, says: str) -> None:
    """File and key are named."""
    shipped = (TEXT_FILES / "en.toml").read_text()
    assert parse_texts("en", shipped) == TEXTS["en"]
    with pytest.raises(ValueError, match=f"^en.toml: {says}$"):
        parse_texts("en", shipped.replace(was, becomes, 1))
