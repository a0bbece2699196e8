"""Users and roles of the local ClickHouse: chDB reads them from a users.xml alone, so statements are kept as one.

The engine itself refuses what a role was not granted.  It knows one user, `default`, who has every right by a role
`administrator`; each user here is a role there, to which a request of theirs is confined.  Passwords are checked by
the HTTP server, for the engine asks for none.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from sinks.chdb.request import ADMINISTRATOR, EngineError
from sinks.chdb.sqltext import first_words, qualified_targets

MOST_KEPT = 1_000
"""Number of users and roles, and of grants to one of them, that are kept."""

_ALL_RIGHTS = "administrator"
_CHANGES = {(b"CREATE", b"ROLE"), (b"CREATE", b"USER"), (b"DROP", b"ROLE"), (b"DROP", b"USER")}
_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_CREATE = re.compile(
    r"CREATE (?P<kind>USER|ROLE)(?P<when> IF NOT EXISTS| OR REPLACE)? (?P<names>[\w`, -]+?)(?P<none> NOT IDENTIFIED"
    r"| IDENTIFIED WITH no_password)?"
    r"(?: IDENTIFIED (?:WITH (?:plaintext_password|sha256_password) )?BY '(?P<password>(?:[^'\\]|\\.|'')*)')?\Z"
)
_DROP = re.compile(r"DROP (?P<kind>USER|ROLE)(?P<when> IF EXISTS)? (?P<names>[\w`, -]+)\Z")
_GRANT = re.compile(
    r"(?P<verb>GRANT|REVOKE) (?P<what>.+) (?:TO|FROM) (?P<names>[\w`, -]+?)(?P<option> WITH (?:GRANT|ADMIN) OPTION)?\Z"
)
_UNESCAPED = re.compile(r"\\(.)|'(')")
_TEMPLATE = """<clickhouse>
 <profiles><default></default></profiles>
 <quotas><default></default></quotas>
 <roles>
  <{all}><grants><query>GRANT ALL ON *.* WITH GRANT OPTION</query></grants></{all}>
{roles}
 </roles>
 <users>
  <{user}>
   <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
   <grants>{granted}</grants>
  </{user}>
 </users>
</clickhouse>
"""


@dataclass(slots=True)
class AccessEntry:
    """Role, or user, whose password is kept as SHA-256 with a salt; without one any will do."""

    is_user: bool
    grants: list[str] = field(default_factory=list)
    salt: str = ""
    sha256: str = ""


class AccessBook:
    """Users and roles of one data folder, kept in its folder `access`; `entries` holds them by name."""

    def __init__(self, folder: Path) -> None:
        """Read what is kept.  Raises OSError in one line for a file that is none of ours."""
        self._folder = folder / "access"
        self.entries: dict[str, AccessEntry] = {}
        try:
            kept = json.loads((self._folder / "access.json").read_text(encoding="utf-8"))
            self.entries = {name: AccessEntry(**entry) for name, entry in kept.items()}
        except FileNotFoundError:
            pass
        except (ValueError, TypeError, AttributeError):
            raise OSError(f"{self._folder}/access.json cannot be read: delete it, and make the roles anew") from None

    @property
    def has_users(self) -> bool:
        """True when there is a user besides `default`, so that names and passwords matter."""
        return any(entry.is_user for entry in self.entries.values())

    def authenticated(self, name: str, password: str) -> bool:
        """Check a user's password, in a time that tells neither it nor whether there is such a user."""
        entry = self.entries.get(name)
        known = entry is not None and entry.is_user
        salt, expected = (entry.salt, entry.sha256) if entry and known else ("", _sha256("", ""))
        matches = hmac.compare_digest(_sha256(password, salt), expected)
        return known and (matches or not expected)

    def roles_of(self, user: str) -> set[str]:
        """Find the roles that were granted to a user."""
        entry = self.entries.get(user)
        return {name for grant in entry.grants for name in _role_grant(grant) or ()} if entry else set()

    def change(self, statement: str, database: str) -> None:
        """Take in one statement as the engine formats it, in one line; names without database are in `database`.

        Raises EngineError, and then nothing has changed.
        """
        if made := _CREATE.match(statement):
            self._create(made)
        elif dropped := _DROP.match(statement):
            self._drop(dropped)
        elif granted := _GRANT.match(statement):
            self._grant(granted, database)
        else:
            raise EngineError.of(
                48, "NOT_IMPLEMENTED", "the local ClickHouse keeps names, passwords and grants of users and roles only"
            )

    def write(self) -> Path | None:
        """Write the files that the engine reads, for nobody else to read; None when there is no user or role.

        Returns the path of its configuration.
        """
        if not self.entries and not self._folder.exists():
            return None
        self._folder.mkdir(mode=0o700, exist_ok=True)
        configuration, users = self._folder / "config.xml", self._folder / "users.xml"
        kept = {name: asdict(entry) for name, entry in self.entries.items()}
        _replace(users, self._users_xml())
        _replace(configuration, f"<clickhouse><users_config>{escape(str(users))}</users_config></clickhouse>\n")
        _replace(self._folder / "access.json", json.dumps(kept, indent=1))
        return configuration

    def _create(self, made: re.Match[str]) -> None:
        is_user = made["kind"] == "USER"
        names = _names(made["names"])
        for name in names:
            there = self.entries.get(name)
            if name in (ADMINISTRATOR, _ALL_RIGHTS) or (there and (not made["when"] or there.is_user != is_user)):
                raise EngineError.of(493, "ACCESS_ENTITY_ALREADY_EXISTS", f"user or role `{name}` already exists")
        if len(self.entries) + len(names) > MOST_KEPT:
            raise EngineError.of(48, "NOT_IMPLEMENTED", f"more than {MOST_KEPT} users and roles")
        for name in names:
            if name not in self.entries or made["when"] == " OR REPLACE":
                self.entries[name] = _new_entry(is_user, made["password"])

    def _drop(self, dropped: re.Match[str]) -> None:
        is_user = dropped["kind"] == "USER"
        names = [name for name in _names(dropped["names"]) if dropped["when"] is None or name in self.entries]
        for name in names:
            if self._known(name).is_user != is_user:
                raise _unknown(name)
        for name in names:
            del self.entries[name]
            for entry in self.entries.values():
                entry.grants = [grant for grant in entry.grants if name not in (_role_grant(grant) or ())]

    def _grant(self, granted: re.Match[str], database: str) -> None:
        what = granted["what"]
        grants = [qualified_targets(f"GRANT {what}", database) + (granted["option"] or "")]
        if (roles := _role_grant(f"GRANT {what}")) is not None:
            grants = [f"GRANT {role}{granted['option'] or ''}" for role in roles]
            for role in roles:
                self._known(role)
        entries = [self._known(name) for name in _names(granted["names"]) if name != ADMINISTRATOR]
        for entry in entries:
            for grant in grants:
                _changed(entry, grant, revoked=granted["verb"] == "REVOKE", role=roles is not None)

    def _known(self, name: str) -> AccessEntry:
        if name not in self.entries:
            raise _unknown(name)
        return self.entries[name]

    def _users_xml(self) -> str:
        roles = "\n".join(f"  <{name}>{_grants_xml(entry.grants)}</{name}>" for name, entry in self.entries.items())
        granted = "".join(f"<query>GRANT {name}</query>" for name in (_ALL_RIGHTS, *self.entries))
        return _TEMPLATE.format(all=_ALL_RIGHTS, user=ADMINISTRATOR, roles=roles, granted=granted)


def changes_access(sql: bytes) -> bool:
    """True for a statement about users, roles or grants that is kept here."""
    words = first_words(sql)
    return words in _CHANGES or words[0] in (b"GRANT", b"REVOKE")


def _changed(entry: AccessEntry, grant: str, *, revoked: bool, role: bool) -> None:
    opposite = "REVOKE" + grant.removeprefix("GRANT")
    entry.grants = [kept for kept in entry.grants if kept not in (grant, opposite)]
    if not (revoked and role):
        entry.grants.append(opposite if revoked else grant)
    if len(entry.grants) > MOST_KEPT:
        raise EngineError.of(48, "NOT_IMPLEMENTED", f"more than {MOST_KEPT} grants to one user or role")


def _role_grant(grant: str) -> list[str] | None:
    """Return the roles of `GRANT role, role`; None for a grant of rights."""
    what = grant.removeprefix("GRANT ").partition(" WITH ")[0]
    return None if " ON " in grant or what.startswith("REVOKE ") else _names(what)


def _names(text: str) -> list[str]:
    names = [name.strip().strip("`") for name in text.split(",")]
    for name in names:
        if not _NAME.match(name):
            raise EngineError.of(36, "BAD_ARGUMENTS", f"name of a user or role {name!r}: use letters, digits and _")
    return names


def _new_entry(is_user: bool, password: str | None) -> AccessEntry:
    if password is None:
        return AccessEntry(is_user)
    salt = secrets.token_hex(16)
    return AccessEntry(is_user, [], salt, _sha256(_UNESCAPED.sub(lambda found: found[1] or found[2], password), salt))


def _unknown(name: str) -> EngineError:
    return EngineError.of(511, "UNKNOWN_ROLE", f"There is no user or role `{name}` in `user directories`")


def _sha256(password: str, salt: str) -> str:
    return hashlib.sha256(f"{password}{salt}".encode()).hexdigest()


def _grants_xml(grants: list[str]) -> str:
    return "<grants>" + "".join(f"<query>{escape(grant)}</query>" for grant in grants) + "</grants>"


def _replace(path: Path, text: str) -> None:
    aside = path.with_suffix(".new")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    aside.replace(path)
