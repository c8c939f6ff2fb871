"""When a rule judges: shifts, maintenance windows, single periods.

    when: {zone: Europe/Berlin, days: [mon-fri], from: "06:00", to: "22:00"}
    when: {zone: UTC, except: [{from: 2026-12-24, to: 2026-12-26, why: shutdown}]}

Times are those of the wall clock in `zone`. A time that the clock skips in spring is the moment of
the switch; one that it shows twice in autumn is meant the first time. So a shift never overlaps the
one that begins at its end, and every shift happens once.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from functools import cached_property
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from udfs.rules.base import Strict, mistake
from udfs.rules.calendar import (
    DAYS,
    Edges,
    Span,
    end_of,
    instant,
    read_days,
    read_moment,
    read_time,
    shift_spans,
)
from udfs.wording import hint

_DAY_MS = 86_400_000
_AHEAD_DAYS = 15  # a shift of one day a week may fall into the hour that is skipped
_KEPT_DAYS = 16

Time = Annotated[int, BeforeValidator(read_time)]  # minutes since midnight
Moment = Annotated[datetime, BeforeValidator(read_moment)]


class ShiftModel(Strict):
    """A span of the day on some days; `to` before `from` is over midnight."""

    days: Annotated[tuple[str, ...], BeforeValidator(read_days)] = DAYS
    begin: Time = Field(0, alias="from")
    end: Time = Field(24 * 60, alias="to")

    @field_validator("end")
    @classmethod
    def _some_time(cls, end: int, info: ValidationInfo) -> int:
        if end == info.data.get("begin"):
            raise mistake("a shift of no length", "leave out from and to for the whole day")
        return end

    def spans(self, zone: ZoneInfo, day: int) -> list[Span]:
        """Its times around a day (days since 1970), as UTC epoch ms."""
        return shift_spans(self.days, self.begin, self.end, zone, day)


class PeriodModel(Strict):
    """From one moment to another, in the schedule's zone unless they say otherwise.

    A date alone means the whole day.
    """

    begin: Moment = Field(alias="from")
    end: Annotated[datetime, BeforeValidator(end_of)] = Field(alias="to")
    why: str = ""

    @field_validator("end")
    @classmethod
    def _after_begin(cls, end: datetime, info: ValidationInfo) -> datetime:
        begin = info.data.get("begin")
        if begin is None:
            return end
        if (begin.tzinfo is None) != (end.tzinfo is None):
            raise mistake("only one of from and to has an offset", "give both one, or none")
        if end <= begin:
            raise mistake(f"to {end.isoformat()} is not after from", "exchange them, or correct it")
        return end

    def span(self, zone: ZoneInfo) -> Span:
        """Begin and end as UTC epoch ms."""
        return instant(self.begin, zone), instant(self.end, zone)


class ScheduleModel(ShiftModel):
    """Times at which a rule judges: in any shift, within `only` and outside of `except`."""

    zone: str = "UTC"
    shifts: Annotated[tuple[ShiftModel, ...], Field(strict=False)] | None = None
    but: Annotated[tuple[PeriodModel, ...], Field(strict=False)] = Field((), alias="except")
    only: Annotated[tuple[PeriodModel, ...], Field(strict=False)] | None = None

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise mistake(f'unknown time zone "{zone}"', _near_zone(zone)) from None
        return zone

    @field_validator("shifts", "only")
    @classmethod
    def _some(cls, given: tuple[Strict, ...] | None) -> tuple[Strict, ...] | None:
        if given == ():
            raise mistake("an empty list", "name at least one, or leave it out")
        return given

    @field_validator("shifts")
    @classmethod
    def _one_way(
        cls, shifts: tuple[ShiftModel, ...] | None, info: ValidationInfo
    ) -> tuple[ShiftModel, ...] | None:
        plain = info.data.get("days"), info.data.get("begin"), info.data.get("end")
        if shifts is not None and plain != (DAYS, 0, 24 * 60):
            raise mistake("shifts beside days, from or to", "put them all into shifts")
        return shifts

    def active(self, time_ms: int) -> bool:
        """Whether the rule judges readings of that time (UTC epoch ms)."""
        edges = self._edges(time_ms // _DAY_MS)
        return edges.first ^ bool(bisect_right(edges.changes, time_ms) & 1)

    def next_change_ms(self, time_ms: int) -> int | None:
        """The first time after this one at which `active` changes; None: never again."""
        starts = [edge for span in self._periods for edge in span if edge > time_ms]
        for start_ms in [time_ms, *sorted(starts)]:
            first = start_ms // _DAY_MS
            for day in range(first - 1, first + _AHEAD_DAYS):
                later = (at for at in self._edges(day).changes if at > time_ms)
                if (found := next(later, None)) is not None:
                    return found
        return None

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def _periods(self) -> list[Span]:
        return [period.span(self._zone) for period in self.but + (self.only or ())]

    @cached_property
    def _known(self) -> dict[int, Edges]:
        return {}

    def _edges(self, day: int) -> Edges:
        """The changes of one UTC day. A few days are kept: live and backlog ask by turns."""
        edges = self._known.get(day)
        if edges is None:
            if len(self._known) >= _KEPT_DAYS:
                self._known.clear()
            edges = self._known[day] = self._work_out(day)
        return edges

    def _work_out(self, day: int) -> Edges:
        zone = self._zone
        shifts = [s for shift in self.shifts or (self,) for s in shift.spans(zone, day)]
        but = [period.span(zone) for period in self.but]
        only = None if self.only is None else [period.span(zone) for period in self.only]

        def on(at: int) -> bool:
            chosen = _within(at, shifts) and not _within(at, but)
            return chosen and (only is None or _within(at, only))

        begin, end = day * _DAY_MS, (day + 1) * _DAY_MS
        edges = {edge for span in [*shifts, *but, *(only or ())] for edge in span}
        inside = sorted(edge for edge in edges if begin < edge < end)
        # a change at midnight belongs to the day that it begins
        states = [on(begin - 1), *map(on, [begin, *inside])]
        moments = zip([begin, *inside], states, states[1:], strict=False)
        return Edges(states[0], [at for at, was, now in moments if was != now])


def _within(at: int, spans: list[Span]) -> bool:
    return any(begin <= at < end for begin, end in spans)


def _near_zone(zone: str) -> str:
    near = hint(zone, available_timezones())
    return near if near.startswith("did") else "as in Europe/Berlin"
