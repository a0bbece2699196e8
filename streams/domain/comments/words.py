"""Division of a comment into words, folded so that case and accents make no difference."""

import re
import unicodedata

MOST_CHARACTERS = 2_000
"""Characters of a comment that are read: what it is about is said by then, and the time for one stays bounded."""

LONGEST_WORD = 32
"""Characters by which a word is known."""

BREAK = "."
"""Word that stands for punctuation: what is negated before it is not negated behind it."""

_TOKEN = re.compile(r"\w+|[^\w\s]+|\n+")
_APOSTROPHES = str.maketrans({"'": " ", "\u2019": " ", "\u00b4": " ", "`": " ", "_": " "})


def folded(text: str) -> str:
    """Fold a text's case, and take off accents and other marks: 'Não, GRÖSSE' becomes 'nao, grosse'."""
    text = text.casefold()
    if text.isascii():
        return text
    return "".join([letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)])


def words_of(text: str) -> list[str]:
    """Split the first MOST_CHARACTERS of a text into folded words; BREAK stands for punctuation, a symbol for itself.

    An apostrophe parts words, as in French: 'n'est' is 'n', 'est'.
    """
    tokens = _TOKEN.findall(folded(text[:MOST_CHARACTERS]).translate(_APOSTROPHES))
    return [token[:LONGEST_WORD] if token[0].isalnum() or ord(token[0]) > 0x2100 else BREAK for token in tokens]
