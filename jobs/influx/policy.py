"""What goes to InfluxDB, and where: flink-conf/influx.yaml.

    policy = load_policy(Path("flink-conf/influx.yaml"))
    group = policy.group_of("plant-0007")         # None: nobody publishes it

In both lists the first entry that fits counts. A sensor that no entry fits is not published.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field, SecretStr, ValidationInfo, field_validator

from jobs.common.errors import SettingsError
from jobs.common.typed_yaml import read
from udfs.catalogue import Catalogue
from udfs.rules.base import Glob, Positive, Strict, Word, mistake
from udfs.rules.globs import Texts, matcher

FieldName = Literal["mean", "min", "max", "first", "last", "sum", "stddev", "count", "bad"]
FIELDS: tuple[FieldName, ...] = get_args(FieldName)
VALUES: tuple[FieldName, ...] = ("mean", "min", "max", "first", "last")
"""Fields in the sensor's own unit: what a deadband is about."""

USUAL: tuple[FieldName, ...] = ("mean", "min", "max")
NOBODY = -1
_AS_IN = {"deadband": "0.1, in the sensor's unit", "at_least_every_s": "300"}

Globs = Annotated[list[Glob], Field(min_length=1)]
GroupName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Item = TypeVar("Item")


class Group(Strict):
    """Facilities that share a bucket, and the token that may write it."""

    name: GroupName
    facilities: Globs
    bucket: Annotated[str, Field(min_length=1)]
    url: str | None = None
    org: str | None = None
    token_file: str | None = None
    token_env: str | None = Field(None, validate_default=True)

    @field_validator("token_env")
    @classmethod
    def _one_token(cls, value: str | None, info: ValidationInfo) -> str | None:
        if (value is None) == (info.data.get("token_file") is None):
            raise mistake("one token is needed", "give token_file: or token_env:, not both")
        return value

    def token(self, environ: Mapping[str, str] = os.environ) -> SecretStr:
        """The token as it is now: a file may be replaced at any time. Raises: SettingsError."""
        if self.token_file is None:
            found = environ.get(self.token_env or "", "").strip()
            where = f"environment {self.token_env}"
        else:
            where = self.token_file
            try:
                found = Path(where).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"group {self.name}: no token in {where}: {error}") from None
        if not found:
            raise SettingsError(f"group {self.name}: no token in {where}")
        return SecretStr(found)


class Sensors(Strict):
    """Which sensors, by globs of which each must fit; what is published of them, and when."""

    kind: Globs | None = None
    asset: Globs | None = None
    sensor: Globs | None = None
    publish: Literal["always", "changed", "never"] = "always"
    fields: Annotated[list[FieldName], Field(min_length=1)] = Field(
        default_factory=lambda: list(USUAL)
    )
    deadband: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None, validate_default=True
    )
    at_least_every_s: Positive | None = Field(None, validate_default=True)

    @field_validator("fields")
    @classmethod
    def _usable(cls, value: list[FieldName], info: ValidationInfo) -> list[FieldName]:
        if len(set(value)) < len(value):
            raise mistake("a field is there twice", "name each once")
        if info.data.get("publish") == "changed" and not set(value) & set(VALUES):
            raise mistake("none of them can change", f"have one of {', '.join(VALUES)}")
        return value

    @field_validator("deadband", "at_least_every_s")
    @classmethod
    def _of_what_changes(cls, value: float | None, info: ValidationInfo) -> float | None:
        publish = info.data.get("publish")
        if publish == "changed" and value is None:
            usual = _AS_IN[str(info.field_name)]
            raise mistake("is needed by publish: changed", f"as in {usual}")
        if publish in ("always", "never") and value is not None:
            raise mistake(f"means nothing with publish: {publish}", "write publish: changed")
        return value

    def of(self, texts: Mapping[str, Texts], count: int) -> npt.NDArray[np.bool_]:
        """Which of the sensors it fits, shape (count,)."""
        fits = np.ones(count, np.bool_)
        for name, found in texts.items():
            if (globs := getattr(self, name)) is not None:
                some = np.zeros(count, np.bool_)
                for glob in globs:
                    some[found.matching(glob)] = True
                fits &= some
        return fits


class Policy(Strict):
    """The whole file. url, org: of groups that name none of their own."""

    url: str
    org: Word
    groups: Annotated[list[Group], Field(min_length=1)]
    sensors: Annotated[list[Sensors], Field(min_length=1)]

    @field_validator("groups")
    @classmethod
    def _groups_differ(cls, groups: list[Group]) -> list[Group]:
        for name in _repeated([group.name for group in groups]):
            raise mistake(f'group "{name}" is there twice', "rename one of them")
        for glob in _repeated([glob for group in groups for glob in group.facilities]):
            raise mistake(f'"{glob}" is of two groups', "the first has it: remove the other")
        if any("*" in group.facilities for group in groups[:-1]):
            raise mistake("no facility is left for groups after *", 'put "*" last')
        return groups

    def group_of(self, facility: str) -> Group | None:
        """The group of a facility."""
        fitting = (g for g in self.groups if any(matcher(x)(facility) for x in g.facilities))
        return next(fitting, None)

    def plan(self, catalogue: Catalogue) -> npt.NDArray[np.int32]:
        """For each slot the index in `sensors` that counts for it, or NOBODY; shape (n,)."""
        texts = {
            "kind": Texts(catalogue.kind),
            "asset": Texts(catalogue.asset),
            "sensor": Texts(catalogue.name),
        }
        plan = np.full(len(catalogue), NOBODY, np.int32)
        for index, entry in reversed([*enumerate(self.sensors)]):
            publishes = entry.publish != "never"
            plan[entry.of(texts, len(catalogue))] = index if publishes else NOBODY
        return plan


def load_policy(path: Path) -> Policy:
    """The policy. Raises: FileMistakes: all mistakes, each with its line."""
    return read(path, Policy)


def _repeated(items: Sequence[Item]) -> Iterator[Item]:
    return (item for at, item in enumerate(items) if item in items[:at])
