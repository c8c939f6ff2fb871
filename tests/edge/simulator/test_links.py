import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.simulator.links import Link, LinkFaults, Lost, Outage
from udfs.batch import Lane


def sends(ticks=20, late_ms=0, **faults):
    link = Link(LinkFaults(**faults), "plant-0001", 1000, late_ms, ticks)
    return [(send.due_ms, send.sequence, send.lane.value) for send in link.sends(0)]


def test_a_batch_is_due_at_the_end_of_its_tick():
    assert sends(ticks=3, late_ms=250) == [
        (1250, 0, "live"),
        (2250, 1, "live"),
        (3250, 2, "live"),
    ]


def test_after_an_outage_live_goes_first_and_the_backlog_follows():
    assert sends(ticks=8, outages=[{"at_s": 2, "for_s": 3, "replay": 2}]) == [
        (1000, 0, "live"),
        (5000, 4, "live"),
        (5500, 1, "backlog"),
        (6000, 2, "backlog"),
        (6000, 5, "live"),
        (6500, 3, "backlog"),
        (7000, 6, "live"),
        (8000, 7, "live"),
    ]


def test_an_outage_that_outlives_the_run_is_still_replayed():
    sent = sends(ticks=3, outages=[{"at_s": 2, "for_s": 60, "replay": 1}])
    assert sent == [(1000, 0, "live"), (63000, 1, "backlog"), (64000, 2, "backlog")]


def test_lost_batches_are_never_sent():
    assert [s[1] for s in sends(ticks=6, lost=[{"first": 1, "last": 3}])] == [0, 4, 5]


def test_losses_are_declared_once_they_happened():
    faults = LinkFaults(
        lost=(Lost(first=8, last=9), Lost(first=2, last=4), Lost(first=6, last=6, declared=False))
    )
    link = Link(faults, "plant-0001", 1000, 0, 20)
    assert link.declared(1) == []
    assert link.declared(7) == [[2, 4]]
    assert link.declared(12) == [[2, 4], [8, 9]]
    assert link.lost_through(12) == 6


def test_other_facilities_are_connected():
    faults = {"facility": "plant-0002", "at_s": 0, "for_s": 9}
    assert [lane for _, _, lane in sends(ticks=4, outages=[faults])] == ["live"] * 4


def test_a_range_must_ascend():
    with pytest.raises(ValidationError, match="last 3 is before first 5"):
        Lost(first=5, last=3)


outages = st.builds(
    Outage,
    at_s=st.floats(0, 40).map(lambda x: round(x, 2)),
    for_s=st.floats(0.01, 30).map(lambda x: round(x + 0.01, 2)),
    replay=st.sampled_from([0.5, 1, 5]),
)


@given(st.lists(outages, max_size=4), st.integers(0, 999), st.integers(0, 60))
def test_every_batch_is_sent_exactly_once_and_never_during_an_outage(found, late_ms, ticks):
    link = Link(LinkFaults(outages=tuple(found)), "plant-0001", 1000, late_ms, ticks)
    sent = list(link.sends(0))
    assert sorted(send.sequence for send in sent) == list(range(ticks))
    assert [send.due_ms for send in sent] == sorted(send.due_ms for send in sent)
    assert not any(link.down(send.due_ms) for send in sent)
    for lane in Lane:
        order = [send.sequence for send in sent if send.lane == lane]
        assert order == sorted(order)
    assert all(send.due_ms >= (send.sequence + 1) * 1000 + late_ms for send in sent)
