"""Is the gateway alive, and is it ready? For systemd, K3s and load on call."""

from __future__ import annotations

from edge.status import Status

# The pipeline may wait for a slow disk; longer than this it hangs.
MAX_IDLE_S = 60.0


def not_alive(status: Status) -> list[str]:
    """Why a restart would help; empty: it would not. A gateway without network is alive."""
    reasons = [
        f"{thread} has not moved for {idle_s:.0f} s; at most {MAX_IDLE_S:.0f} s"
        for thread, idle_s in status.idle_s.items()
        if idle_s > MAX_IDLE_S
    ]
    if status.spool.failed:
        reasons.append(f"the spool has failed: {status.spool.failed}")
    return reasons


def not_ready(status: Status) -> list[str]:
    """Why readings would not be taken in now; empty: they are."""
    reasons = not_alive(status)
    if not status.recovered:
        reasons.append("what the spool held at start is still being taken in")
    reasons += [
        f"input {each.connection.name} is not connected"
        for each in status.inputs
        if not each.connection.connected
    ]
    return reasons
