"""One Mosquitto on loopback, with a folder of its own: it keeps sessions and messages on disk.

with Mosquitto(RUNS / "demo" / "mosquitto") as broker:
    client.connect(LOOPBACK, broker.port)
"""

from __future__ import annotations

import getpass
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from jobs.common.errors import ClusterError
from jobs.local.ports import LOOPBACK, free_ports
from jobs.local.process import Child, spawn, stop, wait_ready

NAME = "mosquitto"
# where Debian puts it, which is not on everybody's PATH
_SBIN = "/usr/sbin:/usr/local/sbin"
_READY_LIMIT_S = 10.0


@dataclass(frozen=True)
class TlsListener:
    """A second listener, with TLS. ca: of clients' certificates; None: they need none."""

    certificate: Path
    key: Path
    ca: Path | None = None


def program() -> str | None:
    """Where Mosquitto is; None when it is not installed."""
    return shutil.which(NAME) or shutil.which(NAME, path=_SBIN)


def config(folder: Path, port: int, tls_port: int = 0, tls: TlsListener | None = None) -> str:
    """The broker's configuration file, as text; its data lie in `folder`."""
    text = f"""\
# Nothing but loopback, so nobody needs to say who he is.
per_listener_settings false
allow_anonymous true
listener {port} {LOOPBACK}

# Sessions and messages survive the broker. It writes them at its end, and this often (seconds).
persistence true
persistence_location {folder}/
autosave_interval 30

# A gateway may hold back acknowledgements of 16,384 messages; what it cannot take, waits.
max_inflight_messages 0
max_queued_messages 0
# The specification of Sparkplug says QoS 0 for data; here they are kept and acknowledged too.
queue_qos0_messages true
upgrade_outgoing_qos true

log_dest stdout
log_timestamp_format %Y-%m-%dT%H:%M:%S
log_type error
log_type warning
log_type notice
connection_messages false
# As root it would become a user that cannot write to the folder.
user {getpass.getuser()}
"""
    return text + (_tls_listener(tls_port, tls) if tls else "")


def command(folder: Path, configuration: str) -> list[str]:
    """The broker's command line; its configuration is written to the folder.

    Raises: ClusterError: it is not installed.
    """
    found = program()
    if found is None:
        raise ClusterError("Mosquitto is not installed: apt-get install mosquitto")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mosquitto.conf"
    path.write_text(configuration)
    return [found, "-c", str(path)]


def _tls_listener(port: int, tls: TlsListener) -> str:
    trusted = "" if tls.ca is None else f"cafile {tls.ca}\nrequire_certificate true\n"
    return (
        f"\nlistener {port} {LOOPBACK}\n"
        f"certfile {tls.certificate}\nkeyfile {tls.key}\n{trusted}tls_version tlsv1.2\n"
    )


class Mosquitto:
    """One broker, known by its folder; `start` after `stop` goes on with the same port and data."""

    def __init__(
        self, folder: Path, tls: TlsListener | None = None, port: int | None = None
    ) -> None:
        """Args: port: None means any free one."""
        self.folder = folder.resolve()
        self._tls = tls
        ports = free_ports(2)
        self.port = ports[0] if port is None else port
        self.tls_port = ports[1]
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """Its process, None when it does not run."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def start(self) -> None:
        """Start it and wait until it answers. Raises: ClusterError: not installed, or it ended."""
        wanted = command(self.folder, config(self.folder, self.port, self.tls_port, self._tls))
        log = self.folder / "mosquitto.out"
        self._child = spawn(NAME, wanted, log, self.folder)
        try:
            wait_ready("Mosquitto", self._answers, [self._child], _READY_LIMIT_S)
        except ClusterError:
            self.stop()
            raise

    def stop(self, limit_s: float = 5.0) -> None:
        """End it; it writes sessions and messages to its folder."""
        if self._child is not None:
            stop([self._child], limit_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0
