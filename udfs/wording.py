"""Words for people: hints for a mistyped word, and texts with placeholders."""

from __future__ import annotations

import difflib
import string
from collections.abc import Iterable, Mapping
from typing import Any


def hint(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?`, or all known words when none is near."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(words)}"


class _Texts(string.Formatter):
    """Numbers without a format of their own are short, and a missing number is "-"."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return "-"
        if isinstance(value, float) and not format_spec:
            return f"{value:.6g}"
        return str(super().format_field(value, format_spec))


def render(text: str, values: Mapping[str, Any]) -> str:
    """The text with its placeholders filled, as "{sensor} is at {value:.1f} {unit}".

    Raises: ValueError, KeyError, IndexError, AttributeError: the text is no such template.
    """
    return _Texts().vformat(text, (), values)


def placeholders(text: str) -> list[str]:
    """Names of the placeholders, in order. Raises: ValueError: unbalanced braces."""
    return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
