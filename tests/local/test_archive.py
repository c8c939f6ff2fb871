"""Class archives fit one Java and one class path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.local import archive


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(archive, "FOLDER", tmp_path / "classes")
    return tmp_path / "classes"


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    jar = tmp_path / "a.jar"
    jar.write_text("classes")
    return jar


@pytest.fixture
def java(tmp_path: Path) -> str:
    program = tmp_path / "java"
    program.touch()
    return str(program)


def test_without_an_archive_java_starts_as_usual(jar: Path, java: str) -> None:
    assert archive.use("kafka", java, str(jar)) == []


def test_a_recorded_archive_is_used(jar: Path, java: str, folder: Path) -> None:
    (option,) = archive.record("kafka", java, str(jar))
    Path(option.removeprefix("-XX:ArchiveClassesAtExit=")).write_text("archive")
    (kept,) = archive.keep()
    assert kept.parent == folder
    assert archive.use("kafka", java, str(jar)) == [f"-XX:SharedArchiveFile={kept}"]


def test_another_jar_needs_another_archive(jar: Path, java: str) -> None:
    before = archive.archive("kafka", java, str(jar))
    os.utime(jar, (1, 1))
    assert archive.archive("kafka", java, str(jar)) != before


def test_a_folder_on_the_class_path_stands_for_its_jars(jar: Path, java: str) -> None:
    before = archive.archive("kafka", java, str(jar.parent / "*"))
    (jar.parent / "b.jar").write_text("more")
    assert archive.archive("kafka", java, str(jar.parent / "*")) != before


def test_an_interrupted_recording_is_forgotten_and_old_archives_go(
    jar: Path, java: str, folder: Path
) -> None:
    archive.record("kafka", java, str(jar))
    (folder / "kafka-old.jsa").write_text("old")
    (folder / "kafka-half.jsa.new").write_text("half")
    archive.begin()
    assert archive.keep() == []
    assert list(folder.iterdir()) == []
