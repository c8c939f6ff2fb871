"""Points of records: revisions, what is thinned against a slow model, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.influx.lines import body
from jobs.influx.memory import MINUTES, Newest, Ranks
from jobs.influx.points import HeldBack, Points, Reason, Refused
from tests.influx.plant import AT_MS, MINUTE_MS, Stored, catalogue, policy, record, rollup, stored
from tests.influx.protocol import parse
from udfs.catalogue import Catalogue
from udfs.records import Record
from udfs.rollup import MinuteRollup, encode

PLANT = catalogue()
LATER = AT_MS + 365 * 86_400_000


def points(of: Catalogue = PLANT, sensors: str | None = None) -> Points:
    under = policy() if sensors is None else policy(sensors)
    known = {(of.facility, of.gateway, of.version): of}
    return Points(under, lambda *wanted: known.get(wanted))


def written(made: Points, *items: MinuteRollup, topic: str = "rollups") -> Stored:
    """What InfluxDB would hold after these."""
    found: Stored = {}
    for item in items:
        text = bytes(body(made.of(record(item, topic), LATER).lines)).decode()
        for key, fields in parse(text).items():
            found.setdefault(key, {}).update(fields)
    return found


REVISIONS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12)


@settings(max_examples=60, deadline=None)
@given(REVISIONS)
def test_of_each_minute_the_highest_revision_stays(order: list[tuple[int, int]]) -> None:
    items = [rollup(PLANT, minute, revision) for minute, revision in order]
    assert written(points(), *items) == stored(PLANT, items)


def test_a_lower_revision_behind_a_higher_is_held_back() -> None:
    made = points()
    made.of(record(rollup(PLANT, 0, revision=2)), LATER)
    found = made.of(record(rollup(PLANT, 0, revision=1)), LATER)
    assert (len(found.lines), found.held_back) == (0, {HeldBack.OLDER_REVISION: 5})
    again = made.of(record(rollup(PLANT, 0, revision=2)), LATER)
    assert len(again.lines) == 5


def test_ranks_of_three_days_are_known() -> None:
    ranks = Ranks()
    assert ranks.take(0, 2)
    assert ranks.take((MINUTES - 1) * MINUTE_MS, 1)
    assert not ranks.take(0, 1)
    assert ranks.take(MINUTES * MINUTE_MS, 1)  # has the place of the first
    assert ranks.take(0, 1)  # unknown, and does not take it back
    assert not ranks.take(MINUTES * MINUTE_MS, 0)


def test_what_is_used_stays_known() -> None:
    newest: Newest[str, list[int]] = Newest(2)
    first = newest.get("a", lambda: [1])
    newest.get("b", lambda: [2])
    assert newest.get("a", lambda: [3]) is first
    newest.get("c", lambda: [4])
    assert newest.get("a", lambda: [5]) is first
    assert newest.get("b", lambda: [6]) == [6]


# --- thinning -----------------------------------------------------------------------------------

THIN = "[{publish: changed, deadband: 1, at_least_every_s: 240, fields: [last, count]}]"


class SlowThinning:
    """One sensor: publish when it moved, when `bad` is another, or after four minutes."""

    def __init__(self) -> None:
        self.newest = -1
        self.known: tuple[int, float, int] | None = None

    def publishes(self, minute: int, last: float, bad: int) -> bool:
        if minute <= self.newest:
            return True
        self.newest = minute
        if self.known is not None:
            at, value, bad_then = self.known
            both_nan = np.isnan(last) and np.isnan(value)
            if (
                minute - at < 4
                and bad == bad_then
                and (both_nan or abs(last - value) <= 1 or last == value)
            ):
                return False
        self.known = (minute, last, bad)
        return True


MINUTE = st.tuples(
    st.integers(0, 12),
    st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.5, np.nan, np.inf]),
    st.integers(0, 1),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(MINUTE, max_size=20), st.lists(MINUTE, max_size=20))
def test_thinning_is_what_a_slow_model_says(one: list, other: list) -> None:
    of = catalogue(sensors=2)
    made = points(of, THIN)
    models = [SlowThinning(), SlowThinning()]
    for (minute, *first), (_, *second) in zip(one, other, strict=False):
        values = [first, second]
        item = replace(
            rollup(of, minute),
            last=np.array([last for last, _ in values]),
            bad=np.array([bad for _, bad in values], np.uint32),
        )
        expected = [m.publishes(minute, *v) for m, v in zip(models, values, strict=True)]
        found = made.of(record(item), LATER)
        keys = parse(bytes(body(found.lines)).decode())
        sensors = [dict(tags)["sensor"] for name, tags, _ in keys if name == "rollup"]
        wanted = [of.name[slot] for slot in (0, 1) if expected[slot]]
        assert sensors == wanted
        assert found.held_back[HeldBack.UNCHANGED] == 2 - len(wanted)


def test_what_is_thinned_has_no_provisional_points() -> None:
    """Else a provisional value could stay: its final one is near to what was published last."""
    made = points(sensors=THIN)
    found = made.of(record(rollup(PLANT, 0, revision=0)), LATER)
    assert (len(found.lines), found.held_back) == (1, {HeldBack.PROVISIONAL: 4})
    assert len(made.of(record(rollup(PLANT, 0)), LATER).lines) == 5
    assert len(made.of(record(rollup(PLANT, 1)), LATER).lines) == 5  # `bad` is another
    assert len(made.of(record(rollup(PLANT, 1, bad=np.full(4, 1, np.uint32))), LATER).lines) == 5


def test_a_restated_minute_is_published_as_a_whole() -> None:
    made = points(sensors=THIN)
    quiet = {"bad": np.zeros(4, np.uint32)}
    made.of(record(rollup(PLANT, 0, **quiet)), LATER)
    assert len(made.of(record(rollup(PLANT, 1, **quiet)), LATER).lines) == 1
    assert len(made.of(record(rollup(PLANT, 1, revision=2, **quiet)), LATER).lines) == 5


def test_a_larger_catalogue_keeps_what_is_known_of_its_slots() -> None:
    larger = catalogue(sensors=6, version=2)
    known = {1: PLANT, 2: larger}
    made = Points(policy(THIN), lambda _, __, version: known[version])
    quiet = {"bad": np.zeros(4, np.uint32)}
    made.of(record(rollup(PLANT, 0, **quiet)), LATER)
    found = made.of(record(rollup(larger, 1, bad=np.zeros(6, np.uint32))), LATER)
    keys = parse(bytes(body(found.lines)).decode())
    assert {dict(tags).get("asset") for _, tags, _ in keys} == {None, "pump-2"}


# --- from the edge ------------------------------------------------------------------------------


def test_edge_minutes_are_measurements_of_their_own_and_the_fullest_part_counts() -> None:
    made = points()
    topic = "edge-rollups.plant-1"
    parts = [rollup(PLANT, 0, 0, batches=b, complete=False) for b in (20, 40, 30)]
    found = written(made, *parts, topic=topic)
    expected = {
        (f"{name}_edge", tags, second): fields
        for (name, tags, second), fields in stored(PLANT, parts[1:2]).items()
    }
    assert found == expected
    assert written(made, rollup(PLANT, 0, 0)) == stored(PLANT, [rollup(PLANT, 0, 0)])


def refused(item: Record, at_ms: int = LATER) -> tuple[Reason, str]:
    with pytest.raises(Refused) as found:
        points().of(item, at_ms)
    return found.value.reason, str(found.value)


def test_records_that_no_points_can_be_made_of() -> None:
    good = rollup(PLANT)
    edge = "edge-rollups.plant-2"
    assert refused(record(good)._replace(value=b"x"))[0] is Reason.NOT_A_ROLLUP
    cut = record(good)._replace(value=encode(good)[:-40])
    assert refused(cut)[0] is Reason.NOT_A_ROLLUP
    assert refused(record(good, edge)) == (
        Reason.WRONG_FACILITY,
        "plant-1 in topic edge-rollups.plant-2",
    )
    assert refused(record(replace(good, catalogue=7))) == (
        Reason.UNKNOWN_CATALOGUE,
        "plant-1/gw-1: no version 7 in topic catalogue",
    )
    sensor = np.array([0, 1, 2, 4], np.uint32)
    assert refused(record(replace(good, sensor=sensor))) == (
        Reason.SLOT_OUT_OF_RANGE,
        "plant-1/gw-1: slot 4 of 4 in version 1",
    )
    assert refused(record(good), AT_MS - 301_000) == (
        Reason.FUTURE_TIME,
        "plant-1/gw-1: 301 s ahead of Kafka's clock",
    )


@pytest.mark.parametrize(
    "wrong", [{"minute_ms": -60_000}, {"minute_ms": 2**62}, {"revision": -1}, {"batches": -1}]
)
def test_numbers_that_no_rollup_has(wrong: dict[str, int]) -> None:
    assert refused(record(replace(rollup(PLANT), **wrong)), 2**63)[0] is Reason.NOT_A_ROLLUP


def test_columns_that_no_rollup_has() -> None:
    item = rollup(PLANT)
    for wrong in ({"last": None}, {"count": item.count.astype(np.float64)}):
        data = _encoded(replace(item, **wrong))
        reason, detail = refused(record(item)._replace(value=data))
        assert reason is Reason.NOT_A_ROLLUP, detail
        assert "missing or of a wrong type" in detail


def _encoded(item: MinuteRollup) -> bytes:
    """As somebody else would write it, with the types that the arrays have."""
    import pyarrow as pa

    from udfs.arrow import encode_stream
    from udfs.rollup import COLUMNS

    whole = pa.ipc.open_stream(encode(rollup(PLANT))).schema.metadata
    columns = {n: getattr(item, n) for n in COLUMNS if getattr(item, n) is not None}
    arrays = [pa.array(values) for values in columns.values()]
    schema = pa.schema([(n, a.type) for n, a in zip(columns, arrays, strict=True)], metadata=whole)
    return encode_stream(schema, arrays)
