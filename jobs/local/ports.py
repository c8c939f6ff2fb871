"""Free ports on loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Iterator

LOOPBACK = "127.0.0.1"

# Below the range that Linux gives to outgoing connections (32768 and up): a port chosen there could
# be taken by a client between our look and the server's start.
_RANGE = range(20_000, 32_000)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        # As servers do it: a connection of the past (TIME_WAIT) does not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    """Different free ports, none of them in `taken`.

    Raises: OSError: fewer than `count` are free.
    """
    found: list[int] = []
    for port in _candidates():
        if len(found) == count:
            return found
        # "" is every interface: Flink's Prometheus reporter listens on all of them.
        if port not in taken and is_free(port, host=""):
            found.append(port)
    raise OSError(f"only {len(found)} of {count} ports are free in {_RANGE.start}-{_RANGE.stop}")


def _candidates() -> Iterator[int]:
    """Every port of the range once, from a random start so that two runs seldom meet."""
    start = random.randrange(len(_RANGE))
    yield from _RANGE[start:]
    yield from _RANGE[:start]
