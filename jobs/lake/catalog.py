"""The catalog as PyIceberg opens it, and as Flink is told of it: one and the same.

catalog = open_catalog(settings)
impl, properties = astuple(java_catalog(settings))
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import RESTError
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from sqlalchemy.exc import DBAPIError

from jobs.lake.errors import LakeError
from jobs.lake.settings import LakeSettings

NAME = "lake"
BUSY_S = 30
_ANSWER_S = 60.0
_JDBC = "org.apache.iceberg.jdbc.JdbcCatalog"
_REST = "org.apache.iceberg.rest.RESTCatalog"
_S3_FILES = "org.apache.iceberg.aws.s3.S3FileIO"


@dataclass(frozen=True)
class JavaCatalog:
    """What Flink needs for the same catalog. properties: in clear, for the client only."""

    impl: str
    properties: dict[str, str] = field(repr=False)
    name: str = NAME


def open_catalog(settings: LakeSettings) -> Catalog:
    """The catalog as PyIceberg sees it; a SQLite file and its folder are made when missing.

    It is for one thread at a time; close it. Its requests end after a minute without an answer.
    Raises: LakeError: nothing answers there, or the driver is missing.
    """
    try:
        return _open_rest(settings) if settings.catalog == "rest" else _open_sql(settings)
    except (OSError, RESTError, DBAPIError) as error:
        raise LakeError(f"{settings.catalog_uri}: {error}") from error
    except ModuleNotFoundError as error:
        place = f"{settings.catalog_uri}: {error}"
        raise LakeError(f"{place}: install the driver beside the project") from None


def _open_rest(settings: LakeSettings) -> Catalog:
    return _Rest(NAME, **settings.properties() | {"uri": settings.catalog_uri})


def _open_sql(settings: LakeSettings) -> Catalog:
    properties = settings.properties()
    place = urlsplit(settings.catalog_uri)
    if place.scheme == "sqlite":
        _prepare_sqlite(Path(place.path))
        uri = f"sqlite:///{place.path}?timeout={BUSY_S}"
    else:
        uri = place._replace(netloc=_login(properties) + place.netloc).geturl()
    properties = {key: text for key, text in properties.items() if key not in ("user", "password")}
    return SqlCatalog(NAME, **properties | {"uri": uri, "pool_pre_ping": "true"})


def java_catalog(settings: LakeSettings) -> JavaCatalog:
    """The same catalog as Iceberg's Java library takes it.

    PostgreSQL needs its JDBC driver, s3:// needs iceberg-aws-bundle on Flink's class path.
    """
    properties = settings.properties()
    if settings.warehouse.startswith("s3://"):
        properties = {"io-impl": _S3_FILES} | properties
    if settings.catalog == "rest":
        return JavaCatalog(_REST, properties | {"uri": settings.catalog_uri})
    uri = f"jdbc:{settings.catalog_uri}"
    if uri.startswith("jdbc:sqlite:"):
        uri += f"?busy_timeout={BUSY_S * 1000}"
    for key in ("user", "password"):
        if key in properties:
            properties[f"jdbc.{key}"] = properties.pop(key)
    return JavaCatalog(_JDBC, properties | {"uri": uri, "jdbc.schema-version": "V1"})


def _login(properties: dict[str, str]) -> str:
    """`user:password@` of PostgreSQL, as a URI has it."""
    words = [quote(properties[key], safe="") for key in ("user", "password") if key in properties]
    return ":".join(words) + "@" if words else ""


def _prepare_sqlite(path: Path) -> None:
    """Readers of a file in WAL mode never wait for a writer; the mode stays with the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_S)
    try:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


class _Patient(HTTPAdapter):
    """PyIceberg sets no limit, and a server that says nothing would hold a job for good."""

    def send(self, request: PreparedRequest, *args: Any, **more: Any) -> Response:
        return super().send(request, *args, **more | {"timeout": more.get("timeout") or _ANSWER_S})


class _Rest(RestCatalog):
    def _create_session(self) -> Session:
        session = super()._create_session()
        session.mount(self.uri, _Patient())
        return session
