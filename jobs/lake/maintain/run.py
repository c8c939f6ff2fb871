"""One round of maintenance: the steps one after the other, whatever becomes of each.

report = run(work, STEPS, told=print)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from jobs.common.errors import HardiotError
from jobs.lake.maintain.coarser import coarser
from jobs.lake.maintain.drop import drop
from jobs.lake.maintain.expire import expire
from jobs.lake.maintain.lease import LeaseLost
from jobs.lake.maintain.merge import merge
from jobs.lake.maintain.orphans import orphans
from jobs.lake.maintain.work import Deed, Step, Work

# minutes become hours before they are dropped; what is merged or dropped is old for the next two
STEPS: Mapping[str, Step] = {
    "coarser": coarser,
    "drop": drop,
    "merge": merge,
    "expire": expire,
    "orphans": orphans,
}

log = structlog.get_logger()


@dataclass
class Report:
    """deeds: in the order in which they were done. failures: what went wrong, by step. seconds: how
    long each step took."""

    deeds: list[Deed] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def run(
    work: Work,
    steps: Mapping[str, Step] = STEPS,
    told: Callable[[Deed], None] = lambda deed: None,
) -> Report:
    """Run the steps. A step that fails stops no other.

    Args: told: is called with each deed once it is done.
    Raises: LeaseLost: somebody else is at work now.
    """
    report = Report()
    for name, step in steps.items():
        begin = time.monotonic()
        try:
            for deed in step(work):
                report.deeds.append(deed)
                told(deed)
        except LeaseLost:
            raise
        except HardiotError as error:
            report.failures[name] = str(error)
        except Exception as error:
            log.exception("step_failed", step=name)
            report.failures[name] = f"{type(error).__name__}: {error}"
        report.seconds[name] = time.monotonic() - begin
    return report
