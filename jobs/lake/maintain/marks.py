"""How far a coarser table is made: a property of it, so that it lies where the rows are.

mark = load_mark(table).begin(source, head_id, now_ms)
save_mark(table, mark.end())
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from pyiceberg.table import Table
from pyiceberg.table.update import SetPropertiesUpdate

from jobs.lake.maintain.metadata import change

PROPERTY = "hardiot.made-from"


@dataclass(frozen=True, slots=True)
class Mark:
    """made: the source's snapshot that is in the table in full; None: begin with all of it.
    making: the one that is being put in, through: the last facility and period that are done.
    made_ms, making_ms: the time by which it was decided what is over.
    """

    made: int | None = None
    made_ms: int = 0
    making: int | None = None
    making_ms: int = 0
    through: tuple[str, int] | None = None

    def begin(self, source: Table, head: int, now_ms: int) -> Mark:
        """Go on where a round before ended, else with the newest snapshot of the source.

        A snapshot that the source has no more is as good as none: then all is made anew.
        """
        mark = self if source.snapshot_by_id(self.made or 0) else replace(self, made=None)
        if mark.making and source.snapshot_by_id(mark.making):
            return mark
        return replace(mark, making=head, making_ms=now_ms, through=None)

    def after(self, place: tuple[str, int]) -> Mark:
        """That facility and period are made."""
        return replace(self, through=place)

    def end(self) -> Mark:
        """All is made."""
        return Mark(self.making, self.making_ms)

    def needed(self) -> set[int]:
        """Snapshots of the source that must not be forgotten."""
        return {number for number in (self.made, self.making) if number}


def load_mark(table: Table) -> Mark:
    """The table's mark as it was loaded; an empty one where there is none."""
    text = table.properties.get(PROPERTY)
    if text is None:
        return Mark()
    found = json.loads(text)
    through = found.pop("through")
    return Mark(**found, through=tuple(through) if through else None)


def save_mark(table: Table, mark: Mark) -> None:
    """Note how far the table is made."""
    text = json.dumps(asdict(mark))
    change(
        table,
        lambda now: (
            (SetPropertiesUpdate(updates={PROPERTY: text}),)
            if now.properties.get(PROPERTY) != text
            else ()
        ),
    )
