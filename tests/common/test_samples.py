"""A sample with every # taken away is a settings file that says the defaults."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from jobs.common.samples import samples
from jobs.common.settings import JobSettings, load


class Settings(JobSettings):
    """Settings of a made-up job."""

    patience_s: int = Field(60, description="How long to wait, " * 12)
    names: tuple[str, ...] = Field(("a", "b"), description="Some names.")


def test_every_key_with_its_meaning_and_default(tmp_path: Path) -> None:
    (text,) = samples({"wait": Settings}).values()
    assert '## Some names.\n#names: ["a", "b"]\n' in text
    assert all(len(line) <= 100 for line in text.splitlines() if line.startswith("##"))
    keys = [line[1:] for line in text.splitlines() if line.startswith("#") and line[1:2] != "#"]
    (tmp_path / "wait.yaml").write_text("\n".join(keys))
    assert load(Settings, "wait", environ={}, folder=tmp_path) == Settings()
    assert len(keys) == len(Settings.model_fields)
