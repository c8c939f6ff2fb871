"""What the simulator's tests share."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time

import pytest

from jobs.local.ports import free_ports

START_MS = 1_750_000_000_000  # a whole number of ticks of 1 s


class MemoryUplink:
    """Keeps what is published; serving makes its clock's time pass."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.time_ms = float(now_ms)
        self.records: list[tuple[str, str, bytes]] = []
        self.stall_ms = (0.0, 0.0)

    def now_ms(self) -> int:
        return int(self.time_ms)

    def publish(self, topic: str, key: str, value: bytes) -> bool:
        if self.is_stalled():
            return False
        self.records.append((topic, key, value))
        return True

    def serve(self, wait_s: float) -> None:
        self.time_ms += max(wait_s * 1000, 1)

    def drain(self, timeout_s: float) -> int:
        self.time_ms += timeout_s * 1000 if self.is_stalled() else 0
        return int(self.is_stalled())

    def close(self, timeout_s: float) -> int:
        return self.drain(timeout_s)

    def is_stalled(self) -> bool:
        return self.stall_ms[0] <= self.time_ms < self.stall_ms[1]

    def topic(self, name: str) -> list[bytes]:
        return [value for topic, _, value in self.records if topic == name]


@pytest.fixture
def memory() -> MemoryUplink:
    return MemoryUplink()


class Mosquitto:
    """A real broker on loopback, that remembers its sessions across a stop."""

    def __init__(self, folder, more="allow_anonymous true"):
        (self.port,) = free_ports(1)
        self._file = folder / "mosquitto.conf"
        self._file.write_text(
            f"listener {self.port} 127.0.0.1\n{more}\npersistence true\n"
            f"persistence_location {folder}/\nmax_queued_messages 0\nmax_inflight_messages 0\n"
            f"log_dest none\nuser {getpass.getuser()}\n"  # root would become another user
        )
        self.start()

    def start(self):
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        self._process = subprocess.Popen([program, "-c", self._file])
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", self.port)):
                    return
            time.sleep(0.01)
        raise AssertionError("mosquitto does not listen")

    def stop(self):
        self._process.terminate()
        self._process.wait(5)


@pytest.fixture
def broker(tmp_path):
    made = Mosquitto(tmp_path)
    yield made
    made.stop()
