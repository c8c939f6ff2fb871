"""Run a notebook's code without Jupyter: its cells one after the other, in one namespace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook, each with its `source` as one text."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in found]


def run(path: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The names that the code leaves.

    Args: parameters: set after the cell with the tag `parameters`, as papermill does.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells(path)):
        if cell["cell_type"] != "code":
            continue
        code = compile(cell["source"], f"{path.name}, cell {number}", "exec")
        exec(code, names)
        if "parameters" in cell["metadata"].get("tags", ()):
            names |= parameters
    return names
