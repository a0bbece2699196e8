"""Text for terminals and logs: nothing in it moves a cursor, and no password of an address is shown.

What strangers wrote (ids, comments, headers, messages of servers) is written out where a terminal would obey it:
control characters, and those that change the direction of text.
"""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]+(?=@)")


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
