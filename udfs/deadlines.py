"""The earliest of many times, one a key, which move as events come."""

from __future__ import annotations

import heapq
from typing import Any, Generic, TypeVar

# what sorts: of equal times the least key is the first
Key = TypeVar("Key", int, tuple[str, int])


class Deadlines(Generic[Key]):
    """A heap whose outdated entries are dropped when they come up."""

    def __init__(self) -> None:
        self._times: dict[Key, int] = {}
        self._heap: list[tuple[int, Any]] = []

    def of(self, key: Key) -> int | None:
        """The key's time; None: it has none."""
        return self._times.get(key)

    def set(self, key: Key, time_ms: int | None) -> None:
        """The key's time from now on; None: it has none."""
        if time_ms == self._times.get(key):
            return
        if time_ms is None:
            del self._times[key]
            return
        self._times[key] = time_ms
        heapq.heappush(self._heap, (time_ms, key))
        if len(self._heap) > 64 + 2 * len(self._times):
            self._heap = [(time, key) for key, time in self._times.items()]
            heapq.heapify(self._heap)

    def first(self) -> tuple[int, Key] | None:
        """The earliest time and its key; of equal times the least key."""
        heap = self._heap
        while heap and self._times.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def copy(self) -> Deadlines[Key]:
        """The same times, to move on their own."""
        twin = Deadlines[Key]()
        twin._times, twin._heap = self._times.copy(), self._heap.copy()
        return twin
