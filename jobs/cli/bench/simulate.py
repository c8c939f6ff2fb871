"""How fast the simulator makes batches when it only produces."""

from __future__ import annotations

from typing import Any

from edge.simulator import measure as simulator


def measure() -> dict[str, Any]:
    """Generate and encode on one core, send nothing."""
    return dict(simulator.measure(batches=10_000))
