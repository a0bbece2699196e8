"""The collector's texts: every language says everything."""

import string

from streams.collector.texts import TEXTS


def test_every_language_says_everything() -> None:
    """No sentence is empty or left in English, and each has the fields that are filled in."""
    for texts in TEXTS.values():
        assert all(texts)
        assert [name for _, name, _, _ in string.Formatter().parse(texts.scored) if name] == ["score"]
        others = set(TEXTS["en"]) if texts.language != "en" else set()
        assert not set(texts) & others
    assert set(TEXTS) >= {"en", "de", "fr", "es", "pt"}
