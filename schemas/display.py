"""Text for terminals and logs: nothing in it moves a cursor, and no password of an address is shown.

What strangers wrote (ids, comments, headers, messages of servers) is written out where a terminal would obey it:
control characters, and those that change the direction of text.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]+(?=@)")


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the known word that is most like this one, as ", did you mean 'worker'?"; empty for none like it."""
    found = get_close_matches(word, list(known), 1)
    return f", did you mean {found[0]!r}?" if found else ""


def printable(text: str, keep: str = "") -> str:
    """Write out every character that is not printable by its escape in Python, except those in `keep`."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in text
    )


def without_passwords(text: str) -> str:
    """Mask user and password of every address in a text, as `https://***@host`."""
    return _CREDENTIALS.sub("***", text)
