"""The right Java is found among several."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.common.errors import ClusterError
from jobs.local import java


def home(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").touch()
    (folder / "release").write_text(f'IMPLEMENTOR="Debian"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.mark.parametrize(
    ("text", "major"), [("17.0.15", 17), ("1.8.0_402", 8), ("21", 21), ("11.0.2", 11)]
)
def test_versions_as_java_writes_them(tmp_path: Path, text: str, major: int) -> None:
    assert java.version(home(tmp_path, text)) == major


def test_a_home_without_a_release_file_is_unknown(tmp_path: Path) -> None:
    assert java.version(tmp_path) is None


def test_seventeen_is_picked_although_another_stands_first(tmp_path: Path) -> None:
    newer, right = home(tmp_path / "21", "21.0.1"), home(tmp_path / "17", "17.0.15")
    assert java.pick([newer, right]) == right


def test_without_seventeen_the_others_are_named(tmp_path: Path) -> None:
    only = home(tmp_path / "jdk", "21.0.1")
    with pytest.raises(ClusterError, match=r"Java 17 is needed, found .*jdk \(21\): run `make se"):
        java.pick([only])


def test_java_home_is_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(home(tmp_path / "mine", "17.0.1")))
    assert java.homes()[0] == tmp_path / "mine"
