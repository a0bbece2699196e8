"""Users and roles of the local ClickHouse: as on a server a request has the rights that its user was granted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse.migrate import PERSONAL_ROLE, READER_ROLE, views
from sinks.rows import TABLES
from tests.support.chdb_server import FOR_EVER, ask, fetched, running, serving
from tests.support.commands import done, run, until

ANALYST, OFFICER = "analyst:s3cret", "officer:it's"
USERS = [
    "CREATE USER analyst IDENTIFIED BY 's3cret'",
    f"GRANT {READER_ROLE} TO analyst",
    "CREATE USER OR REPLACE officer IDENTIFIED WITH sha256_password BY 'it''s'",
    f"GRANT {PERSONAL_ROLE} TO officer",
]


def with_roles(url: str) -> None:
    """Make the roles by the command, twice, and two users that have one each."""
    for _ in range(2):
        done("migrate", "--roles", environ={"NPS_CLICKHOUSE_URL": f"{url}/nps"})
    for sql in USERS:
        assert ask(url, sql) == (200, "")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("chdb")) as (found, _):
        with_roles(found)
        yield found


def code(url: str, sql: str, user: str, **fields: str) -> int:
    """ClickHouse's number of the error with which a user is refused; 0 when it is not."""
    status, text = ask(url, sql, user=user, database="nps", **fields)
    assert (status == 200) == (not text.startswith("Code: ")), text
    return int(text[6:].partition(".")[0]) if status != 200 else 0


def test_a_reader_reads_numbers_and_no_person(url: str) -> None:
    """By `nps_reader` every number, and nothing else; by `nps_personal` people, too."""
    for view in views():
        source = f"{view.name}(since = '2026-01-01', until = '2027-01-01')" if "_between" in view.name else view.name
        found = [code(url, f"SELECT count() FROM {source}", user) for user in (ANALYST, OFFICER)]
        assert found == [0 if view.role == READER_ROLE else 497, 0], view.name
    for table in TABLES.values():
        assert [code(url, f"SELECT count() FROM {table.name}", user) for user in (ANALYST, OFFICER)] == [497, 0]
    for user in (ANALYST, OFFICER):
        for sql in ("INSERT INTO alerts (customer_id) VALUES ('x')", "DROP VIEW nps_current", "CREATE DATABASE other",
                    "SELECT * FROM file('/etc/hostname', 'LineAsString')", "CREATE ROLE other"):  # fmt: skip
            assert code(url, sql, user) == 497, sql
    shown = ask(url, "SELECT name FROM system.tables WHERE database = 'nps'", user=ANALYST)[1]
    assert set(shown.split()) == {view.name for view in views() if view.role == READER_ROLE}


def test_clickhouse_connect_is_a_user(url: str) -> None:
    """As BI tools connect, by name and password, in a session of its own."""
    name, _, password = ANALYST.partition(":")
    where = urlsplit(url)
    there = clickhouse_connect.get_client(
        host=where.hostname, port=where.port or 0, username=name, password=password, database="nps"
    )
    assert there.query("SELECT count() FROM nps_current").result_rows == [(0,)]
    with pytest.raises(DatabaseError, match=r"analyst: Not enough privileges.*SELECT.* ON nps\.answers") as refused:
        there.query("SELECT * FROM answers")
    assert refused.value.code == 497
    there.close()


@pytest.mark.parametrize("user", ["analyst:wrong", "analyst:", "nobody:s3cret", "nps_reader:", "officer:its"])
def test_a_wrong_password_and_an_unknown_user_are_told_the_same(url: str, user: str) -> None:
    """A role is no user."""
    status, text = ask(url, "SELECT 1", user=user)
    assert (status, "516" in text, "or there is no user with such name" in text) == (403, True, True)


def test_nobody_leaves_their_role(url: str) -> None:
    """Neither by another role, in a session or in the URL, nor by granting it to themselves."""
    assert code(url, "SET ROLE administrator", ANALYST, session_id="s") == 0
    assert code(url, "SELECT count() FROM answers", ANALYST, session_id="s") == 497
    assert code(url, "SELECT 1", ANALYST, role=PERSONAL_ROLE) == 512
    assert code(url, "SELECT count() FROM nps_current", ANALYST, role=READER_ROLE) == 0
    assert code(url, f"GRANT {PERSONAL_ROLE} TO analyst", ANALYST) == 497
    assert code(url, "SELECT count() FROM answers", "default:", role=READER_ROLE) == 497


def test_a_user_ends_their_own_queries_alone(url: str) -> None:
    """KILL QUERY of somebody else's finds none, even without a condition."""
    with ThreadPoolExecutor() as threads:
        endless = {name: threads.submit(ask, url, FOR_EVER, user=user, query_id=name)
                   for name, user in (("theirs", OFFICER), ("mine", ANALYST))}  # fmt: skip
        until(lambda: endless.keys() <= running(url), "both run")
        assert code(url, "KILL QUERY WHERE 1 SYNC", ANALYST) == 0
        assert "Code: 394" in endless["mine"].result()[1]
        assert running(url) == {"theirs"}
        ask(url, "KILL QUERY WHERE query_id = 'theirs' SYNC")
        assert "Code: 394" in endless["theirs"].result()[1]


def test_rights_are_taken_away(url: str) -> None:
    """At once: of one table, of a role, and of a user who is dropped."""
    assert ask(url, "CREATE USER guest NOT IDENTIFIED; ", database="nps") == (200, "")
    for sql, found in ((f"GRANT {PERSONAL_ROLE} TO guest", 0), (f"REVOKE SELECT ON answers FROM {PERSONAL_ROLE}", 497),
                       (f"GRANT SELECT ON answers TO {PERSONAL_ROLE}", 0), (f"REVOKE {PERSONAL_ROLE} FROM guest", 497),
                       ("GRANT SELECT(score) ON answers TO guest", 497), ("DROP USER guest", 516)):  # fmt: skip
        assert ask(url, sql, database="nps") == (200, ""), sql
        assert code(url, "SELECT count(survey_id) FROM answers", "guest:any") == found, sql


@pytest.mark.parametrize(
    ("sql", "wrong"),
    [("GRANT SELEKT ON answers TO analyst", 62), ("GRANT SELECT ON answers TO nobody", 511),
     ("GRANT no_role TO analyst", 511), ("CREATE USER analyst", 493), ("CREATE ROLE administrator", 493),
     ("CREATE USER `a b`", 36), ("DROP ROLE analyst", 511), ("DROP USER IF EXISTS nobody", 0),
     ("CREATE USER x IDENTIFIED WITH ldap SERVER 'y'", 48), ("CREATE ROLE a; CREATE ROLE b", 62),
     ("GRANT CURRENT GRANTS ON *.* TO analyst WITH REPLACE OPTION", 36)],
)  # fmt: skip
def test_what_cannot_be_granted_changes_nothing(url: str, sql: str, wrong: int) -> None:
    """ClickHouse's own error where it has one, and everybody's rights are as they were."""
    assert code(url, sql, "default:") == wrong
    assert [code(url, "SELECT count() FROM nps_current", user) for user in (ANALYST, OFFICER)] == [0, 0]


def test_a_link_makes_no_user(url: str) -> None:
    """GET is read-only for rights, too."""
    assert "READONLY" in ask(url, "CREATE USER linked", method="GET")[1]


def test_rights_outlive_the_server(tmp_path: Path) -> None:
    """Its files hold no password, and nobody else on the machine can read them."""
    with serving(tmp_path) as (url, server):
        with_roles(url)
        server.terminate()
        server.wait()
    files = list((tmp_path / "access").iterdir())
    assert len(files) == 3
    assert all(path.stat().st_mode & 0o077 == 0 and "s3cret" not in path.read_text() for path in files)
    with serving(tmp_path) as (url, _):
        assert [code(url, "SELECT count() FROM answers", user) for user in (ANALYST, OFFICER)] == [497, 0]


def test_without_users_everybody_may_do_everything(tmp_path: Path) -> None:
    """On loopback, by whatever name, as before; roles alone change nothing."""
    with serving(tmp_path) as (url, _):
        assert not (tmp_path / "access").exists()
        assert ask(url, "CREATE ROLE some", user="anybody:anything") == (200, "")
        assert fetched(url, "SELECT currentUser()", user="anybody:anything") == (200, b"default\n")


def test_default_has_the_servers_password(tmp_path: Path) -> None:
    """Beside users of their own; the name says whose password it must be."""
    with serving(tmp_path, CHDB_SERVER_PASSWORD="root") as (url, _):
        assert ask(url, "CREATE USER own IDENTIFIED BY 'x'", user="default:root") == (200, "")
        found = [ask(url, "SELECT 1", user=user)[0] for user in ("default:root", "own:x", "default:x", "own:root")]
    assert found == [200, 200, 403, 403]


def test_the_command_names_a_user_without_rights(url: str) -> None:
    """One line, wrong settings, and the setting that holds the user."""
    ended = run(
        "query", "SELECT 1 FROM answers", environ={"NPS_CLICKHOUSE_URL": url.replace("//", f"//{ANALYST}@") + "/nps"}
    )
    assert (ended.returncode, "check the user in NPS_CLICKHOUSE_URL" in ended.stderr) == (2, True)
