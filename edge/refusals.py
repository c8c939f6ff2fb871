"""Messages that no reading could be made of: counted, and kept for the dead letters."""

from __future__ import annotations

from collections import Counter

from edge import messages
from edge.inputs.result import Refused
from edge.spool.record import Kind
from edge.spool.spool import Spool

# of a bad message as much is kept as tells what it was; a flood of them must not fill the disk
_MAX_BYTES = 16 * 1024
_MAX_DETAIL = 500
_PER_MINUTE = 600


class Refusals:
    """Keeps them. counts: by reason, as refused_<reason>; refused_not_kept: beyond the limit."""

    def __init__(self, gateway: str, spool: Spool, counts: Counter[str]) -> None:
        self._gateway, self._spool, self._counts = gateway, spool, counts
        self._minute, self._kept = 0, 0

    def keep(self, refused: Refused, now_ms: int) -> bool:
        """Returns: whether something was appended to the spool."""
        self._counts[f"refused_{refused.reason}"] += 1
        if self._minute != now_ms // 60_000:
            self._minute, self._kept = now_ms // 60_000, 0
        if self._kept >= _PER_MINUTE:
            self._counts["refused_not_kept"] += 1
            return False
        self._kept += 1
        headers = {
            "reason": refused.reason,
            "detail": refused.detail[:_MAX_DETAIL],
            "topic": refused.topic,
            "refused_ms": str(now_ms),
        }
        message = messages.Message(self._gateway, headers, refused.payload[:_MAX_BYTES])
        self._spool.append_record(Kind.REFUSED, messages.encode(message), now_ms)
        return True
