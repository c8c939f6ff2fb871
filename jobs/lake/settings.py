"""Where the lake is: its catalog and its files.

    settings = load(LakeSettings, "lake")      # flink-conf/jobs/lake.yaml, HARDIOT__LAKE__<KEY>

Without any setting it is a folder of the local stack. Relative paths begin at the project's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from jobs.common.settings import Loaded

_ROOT = Path(__file__).parents[2]
_FORMS = {
    "sql": ("sqlite:PATH or postgresql://HOST/DATABASE", ("sqlite", "postgresql")),
    "rest": ("http://HOST:PORT or https://...", ("http", "https")),
}


class LakeSettings(Loaded):
    """Which catalog, which files, and as whom."""

    catalog: Literal["sql", "rest"] = Field(
        "sql",
        description="Kind of the catalog: `sql` (SQLite for one machine, PostgreSQL) or `rest`.",
    )
    catalog_uri: str = Field(
        "sqlite:build/lake/catalog.db",
        description="Where it is: `sqlite:PATH`, `postgresql://HOST/DATABASE` or `http(s)://...`.",
        validate_default=True,
    )
    warehouse: str = Field(
        "build/lake",
        description="Where tables lie: a folder or `s3://BUCKET/...`; with `rest` the name that "
        "the catalog knows, if it has several.",
        validate_default=True,
    )
    catalog_properties: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Further properties, such as `user` and `password` of PostgreSQL, `token` or "
        "`credential` of a REST catalog, `s3.endpoint`, `s3.access-key-id`.",
    )
    namespace: str = Field(
        "telemetry", pattern=r"^[a-z][a-z0-9_]*$", description="Namespace of the tables."
    )

    @field_validator("catalog_uri")
    @classmethod
    def _check_uri(cls, uri: str, info: ValidationInfo) -> str:
        kind = info.data.get("catalog")
        if kind is None:  # wrong itself, and told
            return uri
        form, schemes = _FORMS[kind]
        found = urlsplit(uri)
        if found.scheme not in schemes:
            raise ValueError(f"a {kind} catalog is at {form}")
        if "@" in found.netloc:  # the text itself is not shown: it holds the password
            raise ValueError("name and password belong into catalog_properties: user, password")
        if found.scheme != "sqlite":
            return uri
        if found.netloc or uri.startswith("sqlite://"):
            raise ValueError("SQLite is given as sqlite:PATH, as in sqlite:/data/catalog.db")
        return f"sqlite:{_ROOT / found.path}"

    @field_validator("warehouse")
    @classmethod
    def _check_warehouse(cls, place: str, info: ValidationInfo) -> str:
        if info.data.get("catalog") == "rest":
            return place
        scheme, _, path = place.partition("://")
        if not path:
            return (_ROOT / place).as_uri()
        if scheme == "file" and not path.startswith("/"):
            raise ValueError("a file:// place is absolute, as in file:///data/lake")
        if scheme not in ("file", "s3"):
            raise ValueError("a folder or s3://BUCKET/...")
        return place.rstrip("/")

    def properties(self) -> dict[str, str]:
        """Of the catalog, in clear, for a client only: never log them."""
        found = {key: value.get_secret_value() for key, value in self.catalog_properties.items()}
        if self.catalog == "rest" and "warehouse" not in self.model_fields_set:
            return found
        return found | {"warehouse": self.warehouse}
