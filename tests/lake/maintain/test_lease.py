"""Two maintainers never work at once, unless one of them fell silent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.lake.catalog import open_catalog
from jobs.lake.maintain.lease import LEASE, LENGTH_MS, Lease, LeaseLost, LeaseTaken
from tests.lake.maintain.plant import Lake


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def lease(lake: Lake, holder: str, clock: Clock) -> Lease:
    return Lease(lake.catalog, lake.settings, holder, clock)


def test_the_second_is_told_who_is_at_work(lake: Lake) -> None:
    clock = Clock()
    with (
        lease(lake, "a", clock),
        pytest.raises(LeaseTaken, match="a is at work, for 900 s more at most"),
        lease(lake, "b", clock),
    ):
        raise AssertionError
    with lease(lake, "b", clock):  # a has given it back
        pass


def test_one_that_fell_silent_loses_it(lake: Lake) -> None:
    clock = Clock()
    first = lease(lake, "a", clock).__enter__()
    clock.ms += LENGTH_MS
    with lease(lake, "b", clock):
        with pytest.raises(LeaseLost, match="b has it"):
            first.renew()
        first.__exit__(None, None, None)  # does not give away what b has
        with pytest.raises(LeaseTaken), lease(lake, "c", clock):
            raise AssertionError


def test_it_is_renewed_while_work_goes_on(lake: Lake) -> None:
    clock = Clock()
    with lease(lake, "a", clock) as first:
        for _ in range(5):
            clock.ms += LENGTH_MS // 2
            first.renew()
        with pytest.raises(LeaseTaken), lease(lake, "b", clock):
            raise AssertionError
    assert len(lake.table(LEASE).metadata.snapshots) == 2  # they do not pile up


def test_of_many_at_the_same_moment_one_gets_it(lake: Lake) -> None:
    clock = Clock()
    with lease(lake, "before", clock):
        pass

    def attempt(number: int) -> bool:
        with open_catalog(lake.settings) as catalog:
            try:
                Lease(catalog, lake.settings, str(number), clock).__enter__()
            except LeaseTaken:
                return False
            return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1
