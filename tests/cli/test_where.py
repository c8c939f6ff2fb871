"""Which archive a command asks: what it is told, else that of the stack that is up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.cli import where
from jobs.cli.where import find_lake
from jobs.common.errors import HardiotError
from jobs.lake.settings import LakeSettings


@pytest.fixture(autouse=True)
def _nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CATALOG", "CATALOG_URI", "WAREHOUSE", "NAMESPACE"):
        monkeypatch.delenv(f"HARDIOT__LAKE__{name}", raising=False)


def test_told_up_or_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = LakeSettings(warehouse=str(tmp_path))
    monkeypatch.setattr(where, "find_stack", lambda: SimpleNamespace(lake=own))
    assert find_lake() == own
    monkeypatch.setenv("HARDIOT__LAKE__WAREHOUSE", str(tmp_path / "told"))
    assert find_lake().warehouse == (tmp_path / "told").as_uri()
    monkeypatch.delenv("HARDIOT__LAKE__WAREHOUSE")

    def none() -> None:
        raise HardiotError("no local stack is up")

    monkeypatch.setattr(where, "find_stack", none)
    assert find_lake() == LakeSettings()
