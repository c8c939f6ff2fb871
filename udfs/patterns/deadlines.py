"""The earliest of many times, one a key, which move as events come."""

from __future__ import annotations

import heapq


class Deadlines:
    """A heap whose outdated entries are dropped when they come up."""

    def __init__(self) -> None:
        self._times: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []

    def set(self, key: int, time_ms: int | None) -> None:
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

    def first(self) -> tuple[int, int] | None:
        """The earliest time and its key; of equal times the least key."""
        heap = self._heap
        while heap and self._times.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0] if heap else None
