"""What MLFLOW_TRACKING_URI may be: a server, or a database that can be reached; checked before MLflow does.

MLflow itself takes a word for a folder, makes databases and folders where a path is mistyped, and asks a
database that is not there for minutes.
"""

from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from components.console.messages import in_one_line, without_credentials
from metasgd.errors import InputError

VARIABLE = "MLFLOW_TRACKING_URI"
SERVERS = ("http://", "https://")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
EXPECTED = "expected http(s)://host:port, or a database as sqlite:///path/mlflow.db"


def is_server(uri: str) -> bool:
    return uri.startswith(SERVERS)


def named(uri: str) -> str:
    """The address as messages name it."""
    return f"{VARIABLE} {without_credentials(uri)}"


def require_address(uri: str) -> None:
    """Raises InputError for what is no server's address, and no database that answers."""
    if is_server(uri):
        _require_host(uri)
        return
    database = _database(uri)
    if database.get_backend_name() == "sqlite":
        _require_file(uri, database.database)
    _require_answer(uri, database)


def _require_host(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        known = parts.hostname and (parts.port or True)
    except ValueError:
        known = None
    if not known:
        raise InputError(f"{named(uri)}: is no address; {EXPECTED}")


def _database(uri: str) -> URL:
    try:
        database = make_url(uri)
    except (ArgumentError, ValueError):
        database = None
    if database is None or database.get_backend_name() not in DATABASES:
        raise InputError(f"{named(uri)}: is neither a server nor a database; {EXPECTED}")
    try:
        database.get_dialect().import_dbapi()
    except (ImportError, NoSuchModuleError) as error:
        raise InputError(
            f"{named(uri)}: its driver is not installed ({in_one_line(error)}); expected one beside MLflow"
        ) from None
    return database


def _require_file(uri: str, name: str | None) -> None:
    if not name or name == ":memory:":
        raise InputError(f"{named(uri)}: names no file; expected a database as sqlite:///path/mlflow.db")
    path = Path(name)
    if path.is_dir():
        raise InputError(f"{named(uri)}: is a folder; expected a database file in it, as mlflow.db")
    if not path.parent.is_dir():
        raise InputError(f"{named(uri)}: there is no folder {path.parent}; expected one for the database")


def _require_answer(uri: str, database: URL) -> None:
    engine = create_engine(database, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            what = "name FROM sqlite_master LIMIT 1" if database.get_backend_name() == "sqlite" else "1"
            connection.execute(text(f"SELECT {what}"))
    except SQLAlchemyError as error:
        reason = in_one_line(getattr(error, "orig", None) or error)
        raise InputError(f"{named(uri)}: {reason}; expected a database that answers") from None
