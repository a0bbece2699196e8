"""Superset with an administrator and the dashboards of `export/` on our ClickHouse, as an application for gunicorn.

`open.sh` starts it.  It may start again on the same files: the dashboards are then as exported, the password is new.
"""

import os
import secrets
import sys
import zipfile
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import yaml
from clickhouse_connect.driver.exceptions import ClickHouseError
from flask import Flask, g
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from superset.app import create_app

EXPORT = Path(__file__).with_name("export")
DATABASE = EXPORT / "databases/ClickHouse.yaml"
HOME = Path(os.environ["SUPERSET_HOME"])
ADMIN = "admin"


def application() -> Flask:
    """Make the application, prepare what it serves, and print the administrator's password, which is kept nowhere."""
    dsn = dialect_url(os.environ["NPS_CLICKHOUSE_URL"], os.environ.get("NPS_CLICKHOUSE_CA", ""))
    check_views(dsn)
    app = create_app()
    with app.app_context():
        make_tables(app)
        password = administrator()
        import_dashboards(dsn)
        forget_connections()
    sys.stdout.write(f"log in as {ADMIN} with the password {password}\n")
    sys.stdout.flush()
    return app


def dialect_url(clickhouse_url: str, authority: str) -> str:
    """Translate NPS_CLICKHOUSE_URL and NPS_CLICKHOUSE_CA to an address of clickhouse-connect's SQLAlchemy dialect."""
    url = urlsplit(clickhouse_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        sys.exit("NPS_CLICKHOUSE_URL: expected http(s)://user:password@host:port/database")
    is_secure = url.scheme == "https"
    place = url.netloc if url.port else f"{url.netloc}:{8443 if is_secure else 8123}"
    options = dict(parse_qsl(url.query)) | ({"secure": "true"} if is_secure else {})
    options |= {"ca_cert": authority} if is_secure and authority else {}
    return f"clickhousedb://{place}/{url.path.strip('/') or 'default'}" + (f"?{urlencode(options)}" if options else "")


def check_views(dsn: str) -> None:
    """End with one line when ClickHouse does not answer, or does not have the views."""
    try:
        with create_engine(dsn).connect() as connection:
            connection.execute(text("SELECT 1 FROM nps_current LIMIT 0"))
    except (ClickHouseError, SQLAlchemyError) as error:
        sys.exit(f"NPS_CLICKHOUSE_URL: {str(error).splitlines()[0]} (nps migrate makes the views)")


def make_tables(app: Flask) -> None:
    """Make Superset's own tables and roles as they are today, or bring those of an older Superset up to date."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from flask_appbuilder import Model
    from flask_migrate import upgrade
    from superset import appbuilder, db, security_manager

    migrations = ScriptDirectory(str(Path(app.root_path) / "migrations"))
    with db.engine.begin() as connection:
        context = MigrationContext.configure(connection)
        before = context.get_current_revision()
        if before is None:  # three hundred migrations of nothing would take minutes
            Model.metadata.create_all(connection)
            context.stamp(migrations, "head")
    if before == migrations.get_current_head():
        return
    if before is not None:
        upgrade(migrations.dir)
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()


def administrator() -> str:
    """Make the administrator, or give it a new password; returns the password."""
    from superset import security_manager

    password = secrets.token_urlsafe(12)
    user = security_manager.find_user(ADMIN)
    if user is None:
        role = security_manager.find_role("Admin")
        user = security_manager.add_user(ADMIN, "NPS", "Admin", "admin@localhost", role, password)
    else:
        security_manager.reset_password(user.id, password)
    g.user = user
    return password


def import_dashboards(dsn: str) -> None:
    """Import the export over what was there, on this ClickHouse, and take columns and comments from its views."""
    from superset import db
    from superset.commands.dashboard.importers.dispatcher import ImportDashboardsCommand
    from superset.commands.database.importers.v1.utils import import_database
    from superset.commands.importers.v1.utils import get_contents_from_bundle
    from superset.connectors.sqla.models import SqlaTable

    told = yaml.safe_load(DATABASE.read_text(encoding="utf-8"))
    database = import_database(told | {"sqlalchemy_uri": dsn}, overwrite=True)
    db.session.commit()
    with zipfile.ZipFile(zipped(HOME / "nps-dashboards.zip")) as bundle:
        ImportDashboardsCommand(get_contents_from_bundle(bundle), overwrite=True).run()
    for dataset in db.session.query(SqlaTable).filter_by(database_id=database.id):
        dataset.fetch_metadata()
    db.session.commit()


def zipped(file: Path) -> Path:
    """Write the export as the ZIP that any Superset imports; it holds no password."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path in sorted(EXPORT.rglob("*.yaml")):
            bundle.write(path, Path("nps") / path.relative_to(EXPORT))
    return file


def forget_connections() -> None:
    """Close what is open, before gunicorn forks: a connection of SQLite is not to be shared."""
    from superset import db

    db.session.remove()
    db.engine.dispose()
