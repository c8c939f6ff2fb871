"""A TCP way on loopback that can be cut, half-opened, delayed and made narrow, for tests.

    with Link(listen_port, to_port) as link:
        link.cut()                  # connections break, new ones are refused
        link.stall()                # connections stay open, and nothing passes: a dead modem
        link.restore()
        link.delay_ms = 300         # each way
        link.rate_bytes_s = 8_000   # of all connections together, each way

Everything runs in one thread with an event loop of its own; the methods may be called from any.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Annotated, Any, Self, TypeVar

import typer

from edge.signals import stop_on_signals
from jobs.local.ports import LOOPBACK

_CHUNK_BYTES = 16 * 1024
# small, so that what is on its way is on the link and not in the system's buffers
_WAITING_BYTES = 64 * 1024
_START_S = 5.0

T = TypeVar("T")


class Link:
    """A way from `listen_port` to `to_port`, both on loopback; open from `__enter__` on."""

    def __init__(self, listen_port: int, to_port: int) -> None:
        self.delay_ms = 0.0
        self.rate_bytes_s: float | None = None
        self.passed_bytes = 0
        self.connections = 0
        """How many were made so far."""
        self._listen_port, self._to_port = listen_port, to_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._free_s = [0.0, 0.0]  # when each way has passed what it took

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._restore())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._cut())
        self._call(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Break all connections and refuse new ones."""
        self._call(self._cut())

    def stall(self) -> None:
        """Keep connections open, accept new ones, and let nothing pass."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def restore(self) -> None:
        """Let everything pass again."""
        self._call(self._restore())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_S)

    async def _restore(self) -> None:
        self._flows.set()
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, LOOPBACK, self._listen_port, limit=_WAITING_BYTES
            )

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(
                LOOPBACK, self._to_port, limit=_WAITING_BYTES
            )
        except OSError:
            self._close(writer)
            return
        self._open.add(far_writer)
        for way, source, target in ((0, reader, far_writer), (1, far_reader, writer)):
            task = self._loop.create_task(self._pump(way, source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, way: int, source: asyncio.StreamReader, target: asyncio.StreamWriter
    ) -> None:
        """Carry one way of a connection, in order, each chunk `delay_ms` after it came."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)
        writing = self._loop.create_task(self._deliver(way, chunks, target))
        try:
            while True:
                data = await source.read(_CHUNK_BYTES)
                await chunks.put((time.monotonic(), data))
                if not data:
                    await writing
                    return
        except OSError:
            pass
        finally:
            writing.cancel()
            self._close(target)

    async def _deliver(
        self, way: int, chunks: asyncio.Queue[tuple[float, bytes]], target: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                came_s, data = await chunks.get()
                if not data:
                    return
                await asyncio.sleep(max(self._passes_s(way, came_s, len(data)) - _now_s(), 0))
                await self._flows.wait()
                self.passed_bytes += len(data)  # before anybody can have them
                target.write(data)
                await target.drain()

    def _passes_s(self, way: int, came_s: float, size: int) -> float:
        """When a chunk has passed the narrow place and then the long way."""
        if self.rate_bytes_s is not None:
            begin_s = max(self._free_s[way], came_s)
            self._free_s[way] = came_s = begin_s + size / self.rate_bytes_s
        return came_s + self.delay_ms / 1000

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.close()


def _now_s() -> float:
    return time.monotonic()


def main(
    listen: Annotated[int, typer.Argument(help="Port to listen on.")],
    to: Annotated[int, typer.Argument(help="Port that it leads to.")],
    cut_at: Annotated[float, typer.Option(help="Cut it after so many seconds.")] = 0,
    cut_for: Annotated[float, typer.Option("--for", help="For so many seconds.")] = 0,
) -> None:
    """A link as a process of its own, until it is terminated.

    Example: python -m jobs.local.link 9192 9092 --cut-at 20 --for 12
    """
    stop = stop_on_signals()
    with Link(listen, to) as link:
        if cut_for and not stop.wait(cut_at):
            link.cut()
            stop.wait(cut_for)
            link.restore()
        stop.wait()


if __name__ == "__main__":
    typer.run(main)
