"""Settings of the lake, and the catalog that PyIceberg and Flink both see."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from jobs.common.errors import SettingsError
from jobs.common.settings import load
from jobs.lake.catalog import java_catalog, open_catalog
from jobs.lake.errors import LakeError
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import TABLES, ensure, load_table
from tests.support.rest_catalog import RestCatalogServer

ROOT = Path(__file__).parents[2]


def read(tmp_path: Path, text: str = "", **environ: str) -> LakeSettings:
    (tmp_path / "lake.yaml").write_text(text)
    named = {f"HARDIOT__LAKE__{key.upper()}": value for key, value in environ.items()}
    return load(LakeSettings, "lake", environ=named, folder=tmp_path)


def test_without_settings_it_is_a_folder_of_the_project(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.catalog_uri == f"sqlite:{ROOT}/build/lake/catalog.db"
    assert settings.warehouse == f"file://{ROOT}/build/lake"
    assert settings.namespace == "telemetry"


def test_file_and_environment(tmp_path: Path) -> None:
    settings = read(tmp_path, "warehouse: s3://cold/lake/\n", catalog_uri="sqlite:/data/c.db")
    assert (settings.catalog_uri, settings.warehouse) == ("sqlite:/data/c.db", "s3://cold/lake")


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    text = "catalog_uri: mysql://x\nwarehouse: ftp://x\nnamespace: A.b\nwarehous: x\n"
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    lines = [line.partition(": ")[2] for line in str(caught.value).splitlines()]
    assert lines[0] == (
        "catalog_uri: value error, a sql catalog is at sqlite:PATH or postgresql://HOST/DATABASE"
    )
    assert lines[1] == "warehouse: value error, a folder or s3://BUCKET/..."
    assert lines[2].startswith("namespace: ")
    assert lines[3] == 'warehous: unknown key (did you mean "warehouse"?)'


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"catalog_uri": "sqlite:///data/c.db"}, "SQLite is given as sqlite:PATH"),
        ({"catalog_uri": "http://lake:8181"}, "a sql catalog is at"),
        ({"catalog": "rest", "catalog_uri": "sqlite:/c.db"}, "a rest catalog is at"),
        ({"catalog": "rest"}, "a rest catalog is at"),
        ({"catalog_uri": "postgresql://me:hush@db/lake"}, "belong into catalog_properties"),
        ({"warehouse": "file://lake"}, "is absolute"),
    ],
)
def test_what_is_refused(settings: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        LakeSettings(**settings)  # type: ignore[arg-type]


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    settings = read(tmp_path, catalog_properties="{password: hush}")
    assert settings.properties()["password"] == "hush"
    assert "hush" not in repr(settings) + repr(java_catalog(settings))
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, catalog_uri="postgresql://me:hush@db/lake")
    assert "hush" not in str(caught.value)


def test_flink_sees_the_same_sqlite_file(lake_settings: LakeSettings, tmp_path: Path) -> None:
    java = java_catalog(lake_settings)
    assert java.name == "lake"
    assert java.impl == "org.apache.iceberg.jdbc.JdbcCatalog"
    assert java.properties == {
        "uri": f"jdbc:sqlite:{tmp_path}/lake/catalog.db?busy_timeout=30000",
        "jdbc.schema-version": "V1",
        "warehouse": f"file://{tmp_path}/lake",
    }


def test_flink_and_postgresql() -> None:
    settings = LakeSettings(
        catalog_uri="postgresql://db:5432/lake",
        warehouse="s3://cold/lake",
        catalog_properties={"user": "me", "password": "hush", "s3.endpoint": "http://s3"},  # type: ignore[dict-item]
    )
    assert java_catalog(settings).properties == {
        "uri": "jdbc:postgresql://db:5432/lake",
        "jdbc.user": "me",
        "jdbc.password": "hush",
        "jdbc.schema-version": "V1",
        "warehouse": "s3://cold/lake",
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": "http://s3",
    }


@pytest.mark.parametrize("warehouse", [None, "plant"])
def test_flink_and_rest(warehouse: str | None) -> None:
    given = {"warehouse": warehouse} if warehouse else {}
    settings = LakeSettings(
        catalog="rest",
        catalog_uri="https://lake/api",
        catalog_properties={"token": "hush"},  # type: ignore[dict-item]
        **given,  # type: ignore[arg-type]
    )
    java = java_catalog(settings)
    assert java.impl == "org.apache.iceberg.rest.RESTCatalog"
    assert java.properties == {"uri": "https://lake/api", "token": "hush"} | given


def test_readers_of_sqlite_do_not_wait_for_a_writer(lake_settings: LakeSettings) -> None:
    path = lake_settings.catalog_uri.removeprefix("sqlite:")
    with open_catalog(lake_settings) as catalog:
        ensure(catalog, lake_settings)
        with sqlite3.connect(path) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            assert load_table(catalog, lake_settings, TABLES[0]).current_snapshot() is None
            writer.rollback()


def test_rest(rest_server: RestCatalogServer) -> None:
    settings = LakeSettings(catalog="rest", catalog_uri=rest_server.url)
    with open_catalog(settings) as catalog:
        assert len(ensure(catalog, settings)) == len(TABLES)
        assert ensure(catalog, settings) == []
        assert load_table(catalog, settings, TABLES[0]).name() == ("telemetry", "chunks")


def test_nobody_answers() -> None:
    with pytest.raises(LakeError, match=r"^http://127.0.0.1:9: "):
        open_catalog(LakeSettings(catalog="rest", catalog_uri="http://127.0.0.1:9"))
