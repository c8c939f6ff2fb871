"""A signal's `value`: text in, a tree of arithmetic out, or every mistake with its remedy.

Python's parser reads the text; only what is arithmetic is taken from what it finds, nothing is run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from udfs.rules.arithmetic import Input, Node, Number, Operation, constant
from udfs.wording import hint

MAX_LENGTH, MAX_DEPTH = 500, 32
# beyond it a power of a reading is no physics, and overflows
MAX_EXPONENT = 8

_ONE, _MANY = ("abs", "sqrt", "log", "exp"), ("min", "max", "mean")
FUNCTIONS = (*_ONE, *_MANY)
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
}
_ALLOWED = f"use + - * / **, ( ), numbers, the names in of, and {', '.join(FUNCTIONS)}"
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.+\-*/(),\s]")
# a number and a letter without anything between, as in 0x10, 1_000, 2a or 1j
_NO_NUMBER = re.compile(r"(?<![\w.])(?>[\d.]+(?:[eE][+-]?\d+)?)[A-Za-z_]\w*")
_INSTEAD = dict.fromkeys("<>=!", "a signal computes, its condition compares")
_INSTEAD["^"] = "write ** for a power"

Problem = tuple[str, str]


class BadFormula(ValueError):
    """What is wrong with the text: problems, each with what to do about it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("; ".join(problem for problem, _ in self.problems))


@dataclass(frozen=True)
class Formula:
    """A right text. names: of the tree's inputs, in the order in which the text names them."""

    tree: Node
    names: tuple[str, ...]


def parse(text: str, names: Collection[str] | None) -> Formula:
    """What a text says.

    Args: names: which names there are, all of which must be used; None when that is not known.
    Raises: BadFormula: with all that is wrong.
    """
    reader = _Reader(names)
    tree = reader.read(_syntax(text), 1)
    for name in names or ():
        if name not in reader.used:
            reader.problems.append(
                (f'"{name}" is in of, but not in value', "use it or take it out")
            )
    if reader.problems:
        raise BadFormula(reader.problems)
    return Formula(tree, tuple(reader.used))


def _syntax(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise BadFormula([(f"value has {len(text)} letters", f"at most {MAX_LENGTH} are allowed")])
    strange = dict.fromkeys(_FORBIDDEN.findall(text) or _NO_NUMBER.findall(text))
    if strange:
        fixes = {sign: _INSTEAD.get(sign, _ALLOWED) for sign in strange}
        raise BadFormula([(f'"{sign}" is not allowed in value', fixes[sign]) for sign in strange])
    try:
        return ast.parse(" ".join(text.split()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or "too deep"
        raise BadFormula([(f'value "{text}" is no arithmetic: {reason}', _ALLOWED)]) from None


class _Reader:
    """Turns what the parser found into a tree; notes what is wrong and goes on."""

    def __init__(self, names: Collection[str] | None) -> None:
        self._names = names
        self.used: dict[str, int] = {}
        self.problems: list[Problem] = []

    def read(self, node: ast.expr, depth: int) -> Node:
        if depth > MAX_DEPTH:
            return self._wrong(f"value is more than {MAX_DEPTH} levels deep", "make it simpler")
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Constant):
            return self._number(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
            inner = self.read(node.operand, depth + 1)
            return inner if isinstance(node.op, ast.UAdd) else self._made("negative", [inner], node)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return self._binary(node, _OPERATORS[type(node.op)], depth)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node, node.func.id, depth)
        return self._wrong(f'"{_shown(node)}" is not allowed in value', _ALLOWED)

    def _name(self, name: str) -> Node:
        if name in FUNCTIONS:
            return self._wrong(f"{name} has no values", f"write them in ( ), as in {name}(a, b)")
        if self._names is not None and name not in self._names:
            return self._wrong(f'unknown name "{name}" in value', hint(name, self._names))
        return Input(self.used.setdefault(name, len(self.used)))

    def _number(self, node: ast.Constant) -> Node:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._wrong(f'"{_shown(node)}" is not allowed in value', _ALLOWED)
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        if number == float("inf"):
            return self._wrong("a number in value is too large", "give a smaller one")
        return Number(number)

    def _binary(self, node: ast.BinOp, name: str, depth: int) -> Node:
        before = len(self.problems)
        sides = [self.read(side, depth + 1) for side in (node.left, node.right)]
        if name == "**" and len(self.problems) == before:
            power = sides[1]
            if not isinstance(power, Number) or not 0 < abs(power.value) <= MAX_EXPONENT:
                return self._wrong(
                    f'"{_shown(node)}": its exponent is not one that is allowed',
                    f"give a number from -{MAX_EXPONENT} to {MAX_EXPONENT} that is not 0",
                )
        return self._made(name, sides, node)

    def _call(self, node: ast.Call, name: str, depth: int) -> Node:
        if name not in FUNCTIONS:
            return self._wrong(f'unknown function "{name}" in value', hint(name, FUNCTIONS))
        least, most = (1, 1) if name in _ONE else (2, MAX_LENGTH)
        if not least <= len(node.args) <= most:
            number = "one value" if name in _ONE else "two values or more"
            return self._wrong(f"{name} has {len(node.args)} values", f"give it {number}")
        return self._made(name, [self.read(each, depth + 1) for each in node.args], node)

    def _made(self, name: str, arguments: list[Node], node: ast.expr) -> Node:
        """The operation, or what it comes to where it is over numbers alone."""
        made = Operation(name, tuple(arguments))
        number = constant(made)
        if number is not None and number.value != number.value:
            return self._wrong(f'"{_shown(node)}" has no value', "give a number that has one")
        return made if number is None else number

    def _wrong(self, problem: str, fix: str) -> Node:
        self.problems.append((problem, fix))
        return Input(0)  # no number, so that nothing is said of what it leads to


def _shown(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else text[:57] + "..."
