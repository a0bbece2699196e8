"""Access to the page: people by their tokens, sessions in bounded memory, and one-time links of a page without tokens.

A token is never kept: the setting holds its SHA-256, and a session's cookie is a random name without other meaning.
"""

import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

SESSION_S = 12 * 3600.0
"""Time after its last use for which a session lives; a stream that is open uses it."""

MOST_SESSIONS = 1_000
"""The most sessions; one more ends the one that was used least lately."""

LONGEST_TOKEN = 512
_ENTRY = re.compile(r"([\w.@-]{1,64}):(\w+):([0-9a-fA-F]{64})", re.ASCII)


class Role(StrEnum):
    """Rights of a person on the page: a viewer sees aggregates, a responder customers too, and acts."""

    VIEWER = "viewer"
    RESPONDER = "responder"


class PagePerson(NamedTuple):
    """Somebody who may see the page; `name` is the actor of what they do."""

    name: str
    role: Role


OWNER = PagePerson("local", Role.RESPONDER)
"""Person of the one-time link: whoever sees the terminal in which the page was started."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A person with the SHA-256 of their token, in hex."""

    person: PagePerson
    digest: str


def parse_tokens(text: str) -> tuple[AccessToken, ...]:
    """Parse `name:role:sha256`, several separated by commas; none for empty text.  Raises ValueError."""
    tokens = []
    for number, entry in enumerate(text.split(",") if text else (), 1):
        found = _ENTRY.fullmatch(entry.strip())
        if found is None or found[2] not in set(Role):
            raise ValueError(  # the entry itself is not repeated: it may hold a token in place of its hash
                f"entry {number} must be name:role:sha256, the role viewer or responder, the token's SHA-256 in hex"
            )
        tokens.append(AccessToken(PagePerson(found[1], Role(found[2])), found[3].lower()))
    if len({token.digest for token in tokens}) < len(tokens):
        raise ValueError("two entries have the same token: give each person their own")
    return tuple(tokens)


def person_of(tokens: Sequence[AccessToken], told: str) -> PagePerson | None:
    """Find whose token this is; None for nobody's.  Takes the same time for every token of the setting."""
    digest = sha256(told[:LONGEST_TOKEN].encode(errors="replace")).hexdigest()
    found = [token.person for token in tokens if hmac.compare_digest(token.digest, digest)]
    return found[0] if found else None


class PageSession(NamedTuple):
    """Session of a person, with the CSRF token that each of its POSTs carries, and the time of its end."""

    person: PagePerson
    csrf: str
    ends_s: float


class Sessions:
    """Sessions by their cookie's value.  Times are seconds of a clock that never goes back."""

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self._most = most
        self._sessions: OrderedDict[str, PageSession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, person: PagePerson, now_s: float) -> str:
        """Begin a session; its cookie's value."""
        name = secrets.token_urlsafe(32)
        self._sessions[name] = PageSession(person, secrets.token_urlsafe(32), now_s + SESSION_S)
        if len(self._sessions) > self._most:
            self._sessions.popitem(last=False)
        return name

    def find(self, name: str, now_s: float) -> PageSession | None:
        """Find a session that has not ended, and let it live on from now; None for any other name."""
        session = self._sessions.get(name)
        if session is None:
            return None
        if session.ends_s <= now_s:
            del self._sessions[name]
            return None
        self._sessions[name] = session = session._replace(ends_s=now_s + SESSION_S)
        self._sessions.move_to_end(name)
        return session

    def end(self, name: str) -> None:
        """End a session; harmless for one that has ended."""
        self._sessions.pop(name, None)


class OneTimeKey:
    """Key of the link that opens a page without tokens, once; the next one is made when it was used."""

    def __init__(self) -> None:
        self.text = secrets.token_urlsafe(32)

    def take(self, told: str) -> bool:
        """Use the key up; False for any other text."""
        if not hmac.compare_digest(self.text.encode(), told.encode(errors="replace")):
            return False
        self.text = secrets.token_urlsafe(32)
        return True
