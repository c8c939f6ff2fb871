"""How fast the spool was written to in the last minutes."""

from __future__ import annotations

from collections import deque

_SAMPLE_MS = 10_000
_SAMPLES = 31  # five minutes


class Rate:
    """Bytes a millisecond. `written` is counted up by whoever writes."""

    def __init__(self) -> None:
        self.written = 0
        self._samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES)

    def sample(self, now_ms: int) -> None:
        """Remember how much was written until now; call it often."""
        if not self._samples or now_ms - self._samples[-1][0] >= _SAMPLE_MS:
            self._samples.append((now_ms, self.written))

    def at(self, now_ms: int) -> float:
        """The rate; 0 when nothing is known."""
        if not self._samples or now_ms <= self._samples[0][0]:
            return 0.0
        since_ms, written = self._samples[0]
        return (self.written - written) / (now_ms - since_ms)
