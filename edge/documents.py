"""YAML documents as typed models: every mistake at once, each with its line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from edge.errors import EdgeError
from udfs.catalogue import LABEL, MAX_TAGS

Loc = Sequence[int | str]


class Model(BaseModel):
    """A model that cannot change and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _is_label(text: str) -> str:
    if not LABEL.fullmatch(text):
        raise ValueError(f'"{text}" is neither an asset type nor a tag; write it as line-2')
    return text


def _are_few(tags: tuple[str, ...]) -> tuple[str, ...]:
    if len(tags) > MAX_TAGS:
        raise ValueError(f"{len(tags)} tags; at most {MAX_TAGS} are allowed")
    return tags


Label = Annotated[str, AfterValidator(_is_label)]
Tags = Annotated[tuple[Label, ...], AfterValidator(_are_few)]

M = TypeVar("M", bound=Model)


def read_document(path: Path, model: type[M]) -> M:
    """The YAML file as a `model`.

    Raises: EdgeError: no such file, not YAML, or one line for each mistake in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text)
    except OSError as error:
        raise EdgeError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise EdgeError(f"{path}: not YAML: {error}") from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        tree = yaml.compose(text)
        lines = [_line(path, tree, model, mistake) for mistake in error.errors()]
        raise EdgeError("\n".join(lines)) from None


def explain(error: ValidationError) -> str:
    """The mistakes of values that came from no file, one a line."""
    return "\n".join(f"{_dotted(e['loc'])}: {_message(e)}" for e in error.errors())


def _line(path: Path, tree: yaml.Node | None, model: type[Model], mistake: Any) -> str:
    loc = mistake["loc"]
    line = _line_number(tree, loc)
    hint = _nearest_key(model, loc) if mistake["type"] == "extra_forbidden" else ""
    return f"{path}: line {line}: {_dotted(loc)}: {_message(mistake)}{hint}"


def _message(mistake: Any) -> str:
    text = str(mistake["msg"])
    if mistake["type"] == "extra_forbidden":
        return "unknown key"
    if mistake["type"] == "value_error":
        return str(mistake["ctx"]["error"])
    given = mistake["input"]
    short = isinstance(given, str | int | float) and mistake["type"] != "missing"
    return text + (f", not {given!r}" if short else "")


def _dotted(loc: Loc) -> str:
    return ".".join(str(part) for part in loc) or "document"


def _line_number(node: yaml.Node | None, loc: Loc) -> int:
    """Line of the deepest node on the way to `loc`: a missing key has the line of its parent."""
    line = 1
    for part in loc:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if k.value == str(part)]
            child = pairs[0][1] if pairs else None
            line = pairs[0][0].start_mark.line + 1 if pairs else line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            child = node.value[part]
            line = child.start_mark.line + 1
        if child is None:
            break
        node = child
    return line


def _nearest_key(model: type[Model], loc: Loc) -> str:
    known = sorted(_field_names(model, set()))
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""


def _field_names(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    """Names of all fields in `model` and the models inside it."""
    seen.add(model)
    names = set(model.model_fields)
    for info in model.model_fields.values():
        for inner in _models_in(info.annotation):
            if inner not in seen:
                names |= _field_names(inner, seen)
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in getattr(annotation, "__args__", ()) for m in _models_in(argument)]
