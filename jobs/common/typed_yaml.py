"""A YAML file as a typed model, or every mistake in it at once, each with its line and remedy.

policy = read(Path("flink-conf/influx.yaml"), Policy)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from jobs.common.errors import HardiotError

Place = tuple[int | str, ...]
Model = TypeVar("Model", bound=BaseModel)


class FileMistakes(HardiotError):
    """A file that cannot be used. `str()` lists every mistake: file, line, key, reason."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


def read(path: Path, model: type[Model], error: type[FileMistakes] = FileMistakes) -> Model:
    """The file's content. Raises: `error`: it is not there, or has mistakes."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        data = yaml.safe_load(text)
    except OSError as problem:
        raise error([f"{path}: cannot be read: {problem.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise error([f"{path}: not YAML: {problem}"]) from None
    mistakes = [f"{path}: line {line}: {said}" for line, said in _repeated(root)]
    try:
        found = model.model_validate(data)
    except ValidationError as problem:
        mistakes += [
            f"{path}: line {_line(root, item['loc'])}: {_say(item, model)}"
            for item in problem.errors()
        ]
    if mistakes:
        raise error(mistakes)
    return found


def _repeated(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """YAML takes the last of equal keys without a word."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, f'"{key.value}" is there twice'
            seen.add(key.value)
            yield from _repeated(value)


def _line(node: yaml.Node | None, place: Place) -> int:
    """Line of the deepest part of `place` that the document has, from 1."""
    line = node.start_mark.line + 1 if node else 1
    for step in place:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == step), None)
        if node is None:
            break
        line = node.start_mark.line + 1
    return line


def _say(found: Any, model: type[BaseModel]) -> str:
    place = ".".join(str(step) for step in found["loc"]) or "the document"
    if found["type"] == "extra_forbidden":
        return f"{place}: unknown key {suggest(str(found['loc'][-1]), _keys(model))}"
    if found["type"] == "missing":
        return f"{place}: is missing"
    if found["type"] == "rule":  # of `udfs.rules.base.mistake`
        return f"{place}: {found['ctx']['problem']} ({found['ctx']['fix']})"
    return f"{place}: {found['msg']}; found {found['input']!r}"


def _keys(model: type[BaseModel]) -> set[str]:
    """Every key of a model and of the models in it."""
    keys: set[str] = set()
    for definition in [schema := model.model_json_schema(), *schema.get("$defs", {}).values()]:
        keys |= set(definition.get("properties", {}))
    return keys


def suggest(word: str, known: Iterable[str]) -> str:
    """The word in quotes, with the nearest known one."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f'"{word}" (did you mean "{near[0]}"?)' if near else f'"{word}"'
