"""Gateways beside a local stack, one process each: behind a broker or with their machines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import httpx
import yaml

from jobs.local import mosquitto
from jobs.local.ports import LOOPBACK, free_ports, is_free
from jobs.local.process import Child, wait_ready
from jobs.local.stack import Stack

GATEWAY = "gw-1"
_READY_LIMIT_S = 30.0
# a laptop's disk is not a gateway's: four of them share it, for minutes
_SPOOL = {"max_bytes": 512 * 1024**2, "segment_bytes": 4 * 1024**2}
_UPLINK = {"ledger_s": 5, "give_up_s": 5}


class Site:
    """Gateways of some facilities, one each; everything stops with the stack."""

    def __init__(self, stack: Stack, facilities: Sequence[str]) -> None:
        self._stack = stack
        self._folder = stack.folder / "gateways"
        self.facilities = tuple(facilities)
        self.broker_port, *pages = free_ports(len(self.facilities) + 1)
        self.pages = {
            name: f"http://{LOOPBACK}:{port}" for name, port in zip(facilities, pages, strict=True)
        }

    def start_broker(self) -> None:
        """Start Mosquitto. Raises: ClusterError: it is not installed, or does not answer."""
        folder, port = self._stack.folder / "mosquitto", self.broker_port
        command = mosquitto.command(folder, mosquitto.config(folder, port))
        child = self._stack.spawn("mosquitto", command)
        wait_ready("Mosquitto", lambda: not is_free(port), [child], _READY_LIMIT_S)

    def start_link(self, cut_at_s: float, for_s: float) -> str:
        """A way to Kafka that is cut once. Returns: where it begins, as host:port."""
        listen, to = self._stack.link_ports
        plan = ["--cut-at", str(cut_at_s), "--for", str(for_s)]
        command = [sys.executable, "-m", "jobs.local.link", str(listen), str(to), *plan]
        self._stack.spawn("link", command)
        return f"{LOOPBACK}:{listen}"

    def start_gateways(
        self, by_link: Iterable[str] = (), link: str = "", machines: Sequence[str] = ()
    ) -> list[Child]:
        """Start them and wait until they take readings.

        Args: by_link: facilities that reach Kafka by `link`. machines: arguments of
            `python -m edge.simulator behind`; none: the machines come by the broker.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        children = []
        for name in self.facilities:
            bootstrap = link if name in set(by_link) else self._stack.bootstrap
            path = self._folder / f"{name}.yaml"
            path.write_text(yaml.safe_dump(self._settings(name, bootstrap, not machines)))
            module = ["edge.simulator", "behind", str(path), *machines] if machines else None
            command = [sys.executable, "-m", *(module or ["edge", str(path)])]
            children.append(self._stack.spawn(f"gateway-{name}", command))
        wait_ready("the gateways", self._ready, children, _READY_LIMIT_S)
        return children

    def _settings(self, name: str, bootstrap: str, by_broker: bool) -> dict[str, Any]:
        found: dict[str, Any] = {
            "facility": name,
            "gateway": GATEWAY,
            "spool": {"folder": str(self._folder / name), **_SPOOL},
            "uplink": {"bootstrap": bootstrap, **_UPLINK},
            "http": {"port": int(self.pages[name].rpartition(":")[2])},
        }
        if by_broker:
            topics = [f"spBv1.0/{name}/#"]
            found["mqtt"] = {"host": LOOPBACK, "port": self.broker_port, "sparkplug": topics}
        return found

    def _ready(self) -> bool:
        return all(self.ask(name, "readyz") is not None for name in self.facilities)

    def status(self, name: str) -> dict[str, Any] | None:
        """What a gateway says of itself; None when it does not answer."""
        return self.ask(name, "status.json")

    def ask(self, name: str, page: str) -> dict[str, Any] | None:
        """A JSON page of a gateway, None when there is none or it says no."""
        try:
            answer = httpx.get(f"{self.pages[name]}/{page}", timeout=2)
        except httpx.HTTPError:
            return None
        return dict(answer.json()) if answer.is_success else None
