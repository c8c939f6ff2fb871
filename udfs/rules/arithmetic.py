"""Arithmetic as a small tree of NumPy operations over columns of numbers.

    tree = Operation("-", (Input(1), Input(0)))
    evaluate(tree, np.array([[1.0, 2.0], [5.0, 5.0]]))      # [4.0, 3.0]

What has no finite value (a division by zero, the root of a negative number, an overflow) is NaN,
and whatever is computed from it is NaN too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from udfs.batch import Floats


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Input:
    """A column, by its place among the inputs."""

    place: int


@dataclass(frozen=True, slots=True)
class Operation:
    """A name of OPERATIONS, over one or more arguments."""

    name: str
    arguments: tuple[Node, ...]


Node = Number | Input | Operation


def _mean(*values: Any) -> Any:
    return reduce(np.add, values) / len(values)


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "negative": np.negative,
    "abs": np.abs,
    "min": lambda *values: reduce(np.minimum, values),
    "max": lambda *values: reduce(np.maximum, values),
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
    "mean": _mean,
}


def evaluate(tree: Node, inputs: Floats) -> Floats:
    """The values of a tree that has an input in it.

    Args: inputs: finite or NaN, shape (inputs, m). Returns: shape (m,), finite or NaN; it may be a
        view of the inputs.
    """
    with np.errstate(all="ignore"):
        found: Floats = _evaluate(tree, inputs)
    return found


def constant(operation: Operation) -> Number | None:
    """What an operation over numbers alone comes to, NaN where it has no value; None for others."""
    if not all(isinstance(argument, Number) for argument in operation.arguments):
        return None
    with np.errstate(all="ignore"):
        return Number(float(_evaluate(operation, np.empty((0, 1)))))


def _evaluate(node: Node, inputs: Floats) -> Any:
    if isinstance(node, Input):
        return inputs[node.place]
    if isinstance(node, Number):
        return np.float64(node.value)
    values = [_evaluate(argument, inputs) for argument in node.arguments]
    found = OPERATIONS[node.name](*values)
    finite = np.isfinite(found)
    # at every step: 1 / infinity would be a zero that nobody measured
    return found if finite.all() else np.where(finite, found, np.nan)
