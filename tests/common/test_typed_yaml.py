"""YAML as a typed model: every mistake at once, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, field_validator

from jobs.common.typed_yaml import FileMistakes, read
from udfs.rules.base import mistake


class Shelf(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    width: int
    books: list[str] = []

    @field_validator("books")
    @classmethod
    def _none_is_torn(cls, books: list[str]) -> list[str]:
        if "torn" in books:
            raise mistake("a book is torn", "mend it")
        return books


def said(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "shelf.yaml"
    path.write_text(text)
    with pytest.raises(FileMistakes) as found:
        read(path, Shelf)
    assert str(found.value) == "\n".join(found.value.mistakes)
    return [line.removeprefix(f"{path}: ") for line in found.value.mistakes]


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "shelf.yaml"
    path.write_text("width: 3\nbooks: [one, two]\n")
    assert read(path, Shelf) == Shelf(width=3, books=["one", "two"])


def test_all_mistakes_are_told_with_their_lines(tmp_path: Path) -> None:
    assert said(tmp_path, "wide: 3\nbooks:\n- torn\nbooks: [torn]\n") == [
        'line 4: "books" is there twice',
        "line 1: width: is missing",
        "line 3: books: a book is torn (mend it)",
        'line 1: wide: unknown key "wide" (did you mean "width"?)',
    ]
    assert said(tmp_path, "width: '3'\n") == [
        "line 1: width: Input should be a valid integer; found '3'"
    ]


def test_what_is_no_yaml_or_not_there(tmp_path: Path) -> None:
    (line,) = said(tmp_path, "width: [1\n")
    assert line.startswith("not YAML: ")
    with pytest.raises(FileMistakes, match=r"absent.yaml: cannot be read: No such file"):
        read(tmp_path / "absent.yaml", Shelf)
