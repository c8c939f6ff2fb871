"""Rules from YAML: every mistake of all files at once, each with its file, line and remedy.

    rules = parse_all({"flink-conf/rules/plant.yaml": text})

A file holds a list `rules:`. Names are unique over all files. Whoever reads the files is elsewhere:
this is text in, rules out.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from udfs.rules.base import Strict
from udfs.rules.model import Rule
from udfs.wording import hint

__all__ = ["Mistake", "Rule", "RuleErrors", "parse", "parse_all"]

Loc = tuple[int | str, ...]


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake. `str()` is `file: line N: problem (fix)`."""

    file: str
    line: int
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: line {self.line}: {self.problem}" + (
            f" ({self.fix})" * bool(self.fix)
        )


class RuleErrors(ValueError):
    """All mistakes of some rule files; `str()` has a line for each."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = sorted(set(mistakes))
        super().__init__("\n".join(map(str, self.mistakes)))


class _Rules(Strict):
    rules: list[Rule]


def parse(text: str, file: str) -> list[Rule]:
    """The rules of one file. Raises: RuleErrors."""
    return parse_all({file: text})


def parse_all(texts: Mapping[str, str]) -> list[Rule]:
    """The rules of all files, in the order of the files' names, then as they stand there.

    Raises: RuleErrors: with every mistake in any of them.
    """
    rules: list[Rule] = []
    mistakes: list[Mistake] = []
    names: dict[str, tuple[str, int]] = {}
    with _no_collections():
        for file in sorted(texts):
            found, wrong, tree = _read(texts[file], file)
            mistakes += wrong
            mistakes += _twice(file, tree, names)
            rules += found
    if mistakes:
        raise RuleErrors(mistakes)
    return rules


@contextmanager
def _no_collections() -> Iterator[None]:
    """Without the garbage collector: a tree of YAML has no garbage and many objects. Looking at all
    of them again and again takes three quarters of the time, and stops every other thread."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _read(text: str, file: str) -> tuple[list[Rule], list[Mistake], yaml.Node | None]:
    loader = yaml.CSafeLoader(text)
    try:
        tree = loader.get_single_node()
        if tree is None:
            return [], [Mistake(file, 1, "the file is empty", "begin with rules:")], None
        data = loader.construct_document(tree)
    except yaml.YAMLError as error:
        return [], [_syntax(file, error)], None
    finally:
        loader.dispose()
    wrong = _repeated_keys(file, tree)
    try:
        return _Rules.model_validate(data).rules, wrong, tree
    except ValidationError as error:
        return [], wrong + [_mistake(file, tree, e) for e in error.errors()], tree


def _syntax(file: str, error: yaml.YAMLError) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    line = mark.line + 1 if mark else 1
    return Mistake(file, line, f"not YAML: {problem}", "check indentation, colons and quotes")


def _repeated_keys(file: str, tree: yaml.Node) -> list[Mistake]:
    """YAML takes the last of equal keys without a word."""
    wrong = []
    for node in _nodes(tree):
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value in seen:
                wrong.append(Mistake(file, _line(key), f'"{key.value}" is there twice', "keep one"))
            seen.add(key.value)
    return wrong


def _nodes(tree: yaml.Node) -> Iterator[yaml.Node]:
    """Every node once; an alias can lead back to where it stands."""
    known: set[int] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if id(node) in known:
            continue
        known.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _twice(file: str, tree: yaml.Node | None, names: dict[str, tuple[str, int]]) -> list[Mistake]:
    """Rules whose name was seen before; notes the others in `names`."""
    wrong = []
    for node in _children(tree, "rules"):
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value != "name" or not isinstance(value, yaml.ScalarNode):
                continue
            first = names.setdefault(value.value, (file, _line(value)))
            if first != (file, _line(value)):
                problem = f'rule "{value.value}" is already in {first[0]}: line {first[1]}'
                wrong.append(Mistake(file, _line(value), problem, "rename one of them"))
    return wrong


def _children(tree: yaml.Node | None, key: str) -> list[yaml.Node]:
    for name, value in tree.value if isinstance(tree, yaml.MappingNode) else ():
        if name.value == key and isinstance(value, yaml.SequenceNode):
            return list(value.value)
    return []


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _mistake(file: str, tree: yaml.Node, error: Any) -> Mistake:
    loc: Loc = error["loc"]
    return Mistake(file, _line_of(tree, loc), *_explain(error, loc))


def _line_of(tree: yaml.Node, loc: Loc) -> int:
    """Line of the key or entry that `loc` leads to, or of the nearest that is there."""
    node, line = tree, _line(tree)
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            step = next((pair for pair in node.value if pair[0].value == part), None)
            if step is None:
                return line
            line, node = _line(step[0]), step[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = _line(node)
        else:
            return line
    return line


def _explain(error: Any, loc: Loc) -> tuple[str, str]:
    """Problem and fix, in the words of rules."""
    name = next((part for part in reversed(loc) if isinstance(part, str)), "the file")
    kind, context = error["type"], error.get("ctx", {})
    if kind == "rule":
        return context["problem"], context["fix"]
    if kind == "extra_forbidden":
        return f'unknown key "{name}"', hint(name, _fields_at(loc[:-1]))
    if kind == "missing":
        return f'"{name}" is missing', f"add {name}:"
    given = error["input"]
    if kind == "literal_error":
        return f'unknown {name} "{given}"', hint(str(given), _choices(context["expected"]))
    shown = f" {given!r}" if isinstance(given, str | int | float) else ""
    problem, fix = _WORDS.get(kind, ("is wrong: {msg}", "see docs/rules.md"))
    problem = problem.format(msg=error["msg"], **context)
    return f"{name}{shown} {problem}", _TIME if _is_time(name, kind) else fix


_TIME = "a time is a number of seconds, at most one day, as in 15 or 0.5"
_NUMBER = "write it without quotes or unit, as in 80 or 1.0e+3"
_MAPPING = "write keys and values, as in docs/rules.md"
_WORDS = {
    "float_type": ("is not a number", _NUMBER),
    "finite_number": ("is not a finite number", _NUMBER),
    "int_type": ("is not a whole number", "write it without quotes, as in 3"),
    "string_type": ("is not a text", "put it in quotes"),
    "list_type": ("is not a list", "begin each entry with a dash"),
    "tuple_type": ("is not a list", "begin each entry with a dash"),
    "model_type": ("is not a mapping", _MAPPING),
    "dict_type": ("is not a mapping", _MAPPING),
    "too_short": ("is empty", "name at least one, or leave it out for all"),
    "string_too_short": ("is empty", "write something"),
    "greater_than": ("is not more than {gt:g}", "give a larger one"),
    "greater_than_equal": ("is less than {ge:g}", "give a larger one"),
    "less_than_equal": ("is more than {le:g}", "give a smaller one"),
    "string_pattern_mismatch": ("is no name", "lower-case letters, digits and dashes, at most 63"),
}


def _is_time(name: str, kind: str) -> bool:
    numeric = kind in ("float_type", "finite_number", "greater_than_equal", "less_than_equal")
    return numeric and name in ("for_s", "window_s", "half_life_s")


def _choices(expected: str) -> list[str]:
    """The words in pydantic's "'a', 'b' or 'c'"."""
    return expected.replace(" or ", ", ").replace("'", "").split(", ")


def _fields_at(loc: Loc) -> list[str]:
    """Keys that are allowed at this place."""
    model: type[BaseModel] = _Rules
    for part in loc:
        fields = _fields(model)
        if isinstance(part, str) and part in fields:
            model = _model_in(fields[part].annotation) or model
    return list(_fields(model))


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields by the names that authors write; `from` is no name in Python."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model is not None), None)
