"""Schedules: shifts over midnight, both switches of the clock, periods, and the next change."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.rules.calendar import DAYS
from udfs.rules.schedule import ScheduleModel

BERLIN = "Europe/Berlin"
MINUTE = 60_000
DAY = 1440 * MINUTE


def ms(text: str, zone: str = "UTC") -> int:
    moment = datetime.fromisoformat(text)
    return (
        round((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).timestamp())
        * 1000
    )


def schedule(**keys: Any) -> ScheduleModel:
    return ScheduleModel.model_validate(
        {{"begin": "from", "but": "except"}.get(key, key): value for key, value in keys.items()}
    )


def changes(made: ScheduleModel, begin: str, end: str) -> list[str]:
    """All changes between two times, UTC."""
    found, at = [], ms(begin)
    while (at := made.next_change_ms(at) or ms(end)) < ms(end):
        found.append(f"{datetime.fromtimestamp(at / 1000, UTC):%a %d %H:%M} {made.active(at):d}")
    return found


def test_a_schedule_of_nothing_is_always_active_and_never_changes() -> None:
    made = schedule()
    assert made.active(0) and made.active(ms("2026-07-01T00:00")) and made.active(-DAY)
    assert made.next_change_ms(0) is None


def test_a_shift_begins_at_its_first_moment_and_ends_before_its_last() -> None:
    made = schedule(zone=BERLIN, days=["mon-fri"], begin="06:00", to="22:00")
    monday = ms("2026-01-05T06:00", BERLIN)
    assert [made.active(monday + d) for d in (-1, 0, 16 * 3_600_000 - 1, 16 * 3_600_000)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not made.active(ms("2026-01-04T12:00", BERLIN))  # a Sunday
    assert changes(made, "2026-01-09T00:00", "2026-01-12T12:00") == [
        "Fri 09 05:00 1", "Fri 09 21:00 0", "Mon 12 05:00 1",
    ]  # fmt: skip


def test_a_shift_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    made = schedule(days="fri", begin="22:00", to="06:00")
    assert changes(made, "2026-01-05T00:00", "2026-01-12T00:00") == [
        "Fri 09 22:00 1", "Sat 10 06:00 0",
    ]  # fmt: skip


def test_days_may_go_round_the_end_of_the_week() -> None:
    assert schedule(days=["sat-mon", "wed"]).days == ("mon", "wed", "sat", "sun")


def test_shifts_that_meet_are_one() -> None:
    made = schedule(
        shifts=[{"from": "22:00", "to": "06:00"}, {"from": "06:00", "to": "14:00"}], zone=BERLIN
    )
    assert changes(made, "2026-01-05T00:00", "2026-01-06T00:00") == [
        "Mon 05 13:00 0", "Mon 05 21:00 1",
    ]  # fmt: skip


def test_clock_goes_forward() -> None:
    """29 March 2026, Berlin: 02:00 becomes 03:00 at 01:00 UTC."""
    night = schedule(zone=BERLIN, begin="22:00", to="06:00")
    assert changes(night, "2026-03-28T12:00", "2026-03-29T12:00") == [
        "Sat 28 21:00 1", "Sun 29 04:00 0",
    ]  # fmt: skip
    from_skipped = schedule(zone=BERLIN, begin="02:30", to="03:15")
    assert changes(from_skipped, "2026-03-29T00:00", "2026-03-29T12:00") == [
        "Sun 29 01:00 1", "Sun 29 01:15 0",
    ]  # fmt: skip
    all_skipped = schedule(zone=BERLIN, begin="02:10", to="02:50")
    assert changes(all_skipped, "2026-03-28T12:00", "2026-03-30T12:00") == [
        "Mon 30 00:10 1", "Mon 30 00:50 0",
    ]  # fmt: skip


def test_clock_goes_back() -> None:
    """25 October 2026, Berlin: 03:00 becomes 02:00 at 01:00 UTC, so 02:30 comes twice."""
    night = schedule(zone=BERLIN, begin="22:00", to="06:00")
    assert changes(night, "2026-10-24T12:00", "2026-10-25T12:00") == [
        "Sat 24 20:00 1", "Sun 25 05:00 0",
    ]  # fmt: skip
    early = schedule(zone=BERLIN, begin="01:00", to="02:30")
    late = schedule(zone=BERLIN, begin="02:30", to="04:00")
    assert changes(early, "2026-10-24T12:00", "2026-10-25T12:00") == [
        "Sat 24 23:00 1", "Sun 25 00:30 0",
    ]  # fmt: skip
    assert changes(late, "2026-10-25T00:00", "2026-10-25T12:00") == [
        "Sun 25 00:30 1", "Sun 25 03:00 0",
    ]  # fmt: skip


def test_except_and_only() -> None:
    made = schedule(
        zone=BERLIN,
        begin="06:00",
        to="22:00",
        only=[{"from": "2026-12-23", "to": "2026-12-28"}],
        but=[{"from": "2026-12-24T12:00", "to": "2026-12-26T08:00", "why": "shutdown"}],
    )
    assert changes(made, "2026-12-01T00:00", "2027-12-31T00:00") == [
        "Wed 23 05:00 1", "Wed 23 21:00 0", "Thu 24 05:00 1", "Thu 24 11:00 0", "Sat 26 07:00 1",
        "Sat 26 21:00 0", "Sun 27 05:00 1", "Sun 27 21:00 0", "Mon 28 05:00 1", "Mon 28 21:00 0",
    ]  # fmt: skip


def test_a_period_of_dates_has_whole_days_and_an_offset_of_its_own_counts() -> None:
    dates = schedule(but=[{"from": "2026-12-24", "to": "2026-12-26"}])
    assert changes(dates, "2026-12-01T00:00", "2027-01-01T00:00") == [
        "Thu 24 00:00 0", "Sun 27 00:00 1",
    ]  # fmt: skip
    offset = {"from": "2026-12-24T00:00+05:00", "to": "2026-12-24T06:00Z"}
    assert changes(schedule(zone=BERLIN, but=[offset]), "2026-12-01T00:00", "2027-01-01T00:00") == [
        "Wed 23 19:00 0", "Thu 24 06:00 1",
    ]  # fmt: skip


def test_equal_schedules_are_equal_and_hash_alike_whatever_they_were_asked() -> None:
    one, other = (schedule(zone=BERLIN, days=["mon", "tue"], begin="06:00") for _ in range(2))
    one.active(0)
    one.next_change_ms(0)
    assert one == other and hash(one) == hash(other)
    assert one != schedule(zone="UTC", days=["mon", "tue"], begin="06:00")
    assert schedule(zone=BERLIN, days="mon-tue", begin="06:00") == one


def by_the_clock(shifts: list[tuple[str, str, str]], at_ms: int) -> bool:
    """The slow way, for a zone whose clock is never switched."""
    local = datetime.fromtimestamp(at_ms / 1000, ZoneInfo("Asia/Kolkata"))
    now, today = local.strftime("%H:%M"), local.weekday()
    for day, begin, end in shifts:
        number = DAYS.index(day)
        if begin < end and today == number and begin <= now < end:
            return True
        if begin > end and (today == number and now >= begin):
            return True
        if begin > end and (today == (number + 1) % 7 and now < end):
            return True
    return False


times = st.integers(0, 1439).map(lambda m: f"{m // 60:02}:{m % 60:02}")
some_shifts = st.lists(
    st.tuples(st.sampled_from(DAYS), times, times).filter(lambda s: s[1] != s[2]),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(some_shifts, st.lists(st.integers(0, 30 * 1440), min_size=1, max_size=20))
def test_any_shifts_at_any_minute(shifts: list[tuple[str, str, str]], minutes: list[int]) -> None:
    made = schedule(
        zone="Asia/Kolkata", shifts=[{"days": d, "from": f, "to": t} for d, f, t in shifts]
    )
    for minute in minutes:
        at = ms("2026-01-01T00:00") + minute * MINUTE
        assert made.active(at) == by_the_clock(shifts, at)
        following = made.next_change_ms(at)
        if following is not None:
            assert made.active(following - 1) == made.active(at) != made.active(following)


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-06-01"])
@settings(max_examples=30, deadline=None)
@given(begin=times, end=times)
def test_three_shifts_that_share_a_day_leave_no_hole(day: str, begin: str, end: str) -> None:
    cuts = sorted({"00:00", begin, end, "24:00"})
    spans = [{"from": f, "to": t} for f, t in pairwise(cuts)]
    made = schedule(zone=BERLIN, shifts=spans)
    assert made.next_change_ms(ms(f"{day}T00:00") - DAY) is None
    assert made.active(ms(f"{day}T01:30"))
