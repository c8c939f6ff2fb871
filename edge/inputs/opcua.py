"""Readings of an OPC UA server, by subscription.

    opcua = OpcUaInput(settings, registry, inbox, now_ms)      # a thread of its own
    opcua.start(); ...; opcua.stop()

OPC UA has no acknowledgement that could wait for the disk: what is between the server's answer and
the next commit, at most one publishing interval and one tick, is lost with a kill; and of what
changes while there is no connection the newest value. While the connection lasts nothing is lost by
waiting: when the inbox is full nothing more is asked for, and the server's queues fill.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from edge.inputs import opcua_session as server
from edge.inputs.opcua_values import Monitored, read_values
from edge.inputs.result import Inbox
from edge.registry import Registry
from edge.settings import OpcUaSettings

if TYPE_CHECKING:
    from asyncua.client.ua_session import UaSession

log = structlog.get_logger()

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
SILENCE_S = 3 * server.KEEP_ALIVE_S
CONNECT_S = 60.0
POLL_S = 0.1
# a server may open its port before all its nodes are there
RETRY_NODES_S = 30.0


@dataclass(slots=True)
class OpcUaStatus:
    """How it goes, for the page and the metrics; numbers since the start."""

    connected: bool = False
    connections: int = 0
    readings: int = 0
    overflows: int = 0
    """Values that say that the server had to drop others before them: raise queue_size."""
    problem: str = ""
    nodes: dict[str, str] = field(default_factory=dict)
    """Nodes that cannot be read, and why."""


class OpcUaInput:
    """One server. Each connection has an event loop of its own, so nothing of a lost one stays."""

    def __init__(
        self,
        settings: OpcUaSettings,
        registry: Registry,
        inbox: Inbox,
        now_ms: Callable[[], int],
    ) -> None:
        """Raises: EdgeError: node ids that are none, all at once."""
        self.status = OpcUaStatus()
        self._settings, self._registry, self._inbox = settings, registry, inbox
        self._now_ms = now_ms
        self._ids = server.node_ids(settings.nodes)
        count = len(settings.nodes)
        self._monitored = Monitored(
            node=tuple(node.node for node in settings.nodes),
            slot=np.zeros(count, np.uint32),
            fresh=np.ones(count, np.bool_),
        )
        self._subscription = 0
        self._lost = ""
        self._heard_s: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="opcua", daemon=True)

    def start(self) -> None:
        """Begin to connect; a server that is not there is tried again for ever."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the subscription and the thread; not waited for longer than `timeout_s`."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._stopping.is_set():
            before = self.status.connections
            try:
                asyncio.run(self._connection())
            except Exception as error:  # noqa: BLE001 - whatever a foreign server says, go on
                self._say(_reason(error))
            self.status.connected = False
            if self.status.connections > before:
                wait_s = FIRST_WAIT_S
            # not all gateways at the same moment, after the server came back
            self._stopping.wait(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _say(self, problem: str) -> None:
        """Once for each new problem, not at each try."""
        if problem != self.status.problem:
            log.warning("OPC UA: not connected", url=self._settings.url, problem=problem)
        self.status.problem = problem

    async def _connection(self) -> None:
        """One connection, until it is lost (then it raises) or the input is stopped."""
        client = await server.client(self._settings)
        self._lost, self._heard_s = "", None
        client.connection_lost_callback = self._connection_lost
        try:
            async with asyncio.timeout(CONNECT_S):
                await client.connect()
                await self._subscribe(client.uaclient.session)
            self.status.connected, self.status.problem = True, ""
            self.status.connections += 1
            await self._watch(client.uaclient.session)
        except BaseException:
            client.disconnect_socket()
            raise
        await client.disconnect()

    async def _connection_lost(self, error: Exception) -> None:
        self._lost = f"connection lost: {error}"

    async def _subscribe(self, session: UaSession) -> None:
        self._subscription = await server.create_subscription(
            session, self._settings, self._published
        )
        self._monitored.fresh[:] = True
        await self._monitor(session, range(len(self._ids)))

    async def _monitor(self, session: UaSession, places: Any) -> None:
        """Subscribe to nodes; those that cannot be read are named all at once, the others go on."""
        bad = await self._learn(session, list(places))
        wanted = {place: self._ids[place] for place in places if place not in bad}
        bad |= await server.monitor(session, self._subscription, self._settings, wanted)
        found = {self._settings.nodes[place].node: why for place, why in bad.items()}
        if found and found != self.status.nodes:
            lines = "\n".join(f"{node}: {why}" for node, why in found.items())
            log.error("OPC UA: nodes cannot be read", url=self._settings.url, nodes=lines)
        self.status.nodes = found

    async def _learn(self, session: UaSession, places: list[int]) -> dict[int, str]:
        """Give each node its sensor's slot. Returns: those for which there is none left."""
        nodes = self._settings.nodes
        new = [place for place in places if self._registry.find(nodes[place].sensor) is None]
        found = await server.sensors(session, [nodes[p] for p in new], [self._ids[p] for p in new])
        slots = {place: self._registry.slot(said) for place, said in zip(new, found, strict=True)}
        bad: dict[int, str] = {}
        for place in places:
            slot = slots.get(place, self._registry.find(nodes[place].sensor))
            if slot is None:
                bad[place] = "too many sensors for one gateway"
            else:
                self._monitored.slot[place] = slot
        return bad

    async def _published(self, published: Any) -> None:
        """Take what one publishing brought; while the inbox is full, wait: the server queues."""
        self._heard_s = None
        items, ended = server.content(published.NotificationMessage)
        if ended:
            self._lost = self._lost or f"the server ended the subscription: {ended}"
        if items:
            await self._hand_over(items)
        self._heard_s = time.monotonic()

    async def _hand_over(self, items: list[Any]) -> None:
        url, now_ms = self._settings.url, self._now_ms()
        result, overflows = read_values(items, self._monitored, url, now_ms)
        self.status.overflows += overflows
        self.status.readings += sum(len(block) for block in result.blocks)
        await _in_thread(lambda: self._inbox(result))

    async def _watch(self, session: UaSession) -> None:
        """Until stopped. Raises: ConnectionError: it is lost, or nothing came for too long."""
        self._heard_s = time.monotonic()
        retry_s = time.monotonic() + RETRY_NODES_S
        while not self._stopping.is_set():
            await asyncio.sleep(POLL_S)
            if self._lost:
                raise ConnectionError(self._lost)
            now_s = time.monotonic()
            if self._heard_s is not None and now_s - self._heard_s > SILENCE_S:
                raise ConnectionError(f"nothing heard for {SILENCE_S:g} s, not even a keep-alive")
            if self.status.nodes and now_s >= retry_s:
                bad = [
                    p for p, node in enumerate(self._monitored.node) if node in self.status.nodes
                ]
                await self._monitor(session, bad)
                retry_s = now_s + RETRY_NODES_S


async def _in_thread(work: Callable[[], None]) -> None:
    """Wait for what may block. An executor's thread would be waited for when the process ends."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        work()
        with contextlib.suppress(RuntimeError):  # the connection, and its loop, are gone by now
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="opcua-inbox", daemon=True).start()
    await done.wait()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer; where security is set, server_certificate may be another server's"
    return str(error) or type(error).__name__
