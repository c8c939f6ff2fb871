"""Words to systemd: ready, alive, stopping. Without systemd they go nowhere.

    say("READY=1")          # Type=notify: the service counts as started
    say("WATCHDOG=1")       # WatchdogSec: else it is killed and started again
    say("STOPPING=1")

The protocol is one datagram to the socket that NOTIFY_SOCKET names (sd_notify(3)).
"""

from __future__ import annotations

import contextlib
import os
import socket

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def say(word: str, status: str = "") -> bool:
    """Tell systemd; `status` is the line that `systemctl status` shows.

    Returns: whether there was somebody to tell. Never raises and never waits: supervision must not
    stop what it supervises.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    text = f"{word}\nSTATUS={status}" if status else word
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        out.sendto(text.encode(), address.replace("@", "\0", 1))
        return True
    return False


def watchdog_s() -> float | None:
    """How often to say ALIVE, in seconds: a quarter of the time allowed; None: nobody watches."""
    allowed = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(allowed) / 4e6 if mine and allowed.isdecimal() and int(allowed) else None
