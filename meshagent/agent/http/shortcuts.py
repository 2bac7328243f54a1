"""I/O edge: the shortcuts of a connection: reads that were answered before, and the plain KV write.

Neither is parsed by aiohttp. A read that must first ask the leader how far this server has to be, and a write that
waits for the log, hold back what comes meanwhile (`_held`): a connection's requests are answered in order.

Source: design.md "The hot paths serve bytes"; surface rows C15, KV5. What may change here: shortcuts may only be added
for requests that answer the same both ways, which tests/agent/http/test_connection.py holds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp.web_protocol import RequestHandler

from meshagent.agent.http.putpath import parse_plain_put
from meshagent.catalog.commands import KVSet, encode
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.http.hot import HotEntry
    from meshagent.agent.http.server import HttpServer

__all__ = ["Shortcuts"]


class Shortcuts(RequestHandler):
    """What a `Connection` answers by itself. A connection calls these only between two requests."""

    __slots__ = ("_answered", "_held", "_served", "server")

    server: HttpServer
    #: Bytes that came while a shortcut waits for the log or the leader; None when none does.
    _held: bytearray | None
    #: Done when none waits any more; None while nobody wants to know.
    _answered: asyncio.Future[None] | None
    #: Requests answered so.
    _served: int

    def _received(self, data: bytes) -> None:
        """Bytes at a known place: the long way."""
        raise NotImplementedError

    def _refuse(self, status: int, text: str) -> None:
        raise NotImplementedError

    # --- reads -------------------------------------------------------------------------------------------------

    def _answer_hot(self, entry: HotEntry) -> bool:
        transport = self.transport
        if transport is None or self._close or self._force_close:
            return False
        wire = entry.current()
        if not wire:
            return False
        entry.hits += 1
        entry.view.used = True
        self._served += 1
        if len(wire) == 1:
            transport.write(wire[0])
        else:
            transport.writelines(wire)
        return True

    def _wait_hot(self, entry: HotEntry, gate: asyncio.Future[None], data: bytes) -> None:
        """Answer when the leader has said how far this server must be; what comes meanwhile is held."""
        self._held = bytearray()
        gate.add_done_callback(lambda done: self._hot_ready(entry, done, data))

    def _hot_ready(self, entry: HotEntry, gate: asyncio.Future[None], data: bytes) -> None:
        held, self._held = self._held, None
        failed = gate.cancelled() or gate.exception() is not None
        # A view that was forgotten meanwhile is not told of changes any more. What failed is tried again the long way.
        if failed or self.server.hot.entries.get(data) is not entry or not self._answer_hot(entry):
            self._received(data)
        self._release(held)

    def _release(self, held: bytearray | None) -> None:
        """What came while a shortcut waited."""
        if self._answered is not None:
            self.close()
            self._answered.set_result(None)
            return
        if held and self.transport is not None and not self._force_close:
            self._resume_reading_for_buffer()
            self.data_received(bytes(held))

    # --- the end -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """No more requests. One where a shortcut waits, of which aiohttp knows nothing, is left to `shutdown`."""
        if self._held is None:
            super().close()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """Answer what is under way, for up to `timeout` seconds, and close."""
        if self._held is not None:
            self._answered = self._loop.create_future()
            await asyncio.wait((self._answered,), timeout=timeout)
        await super().shutdown(timeout)

    # --- the plain KV write ------------------------------------------------------------------------------------

    def _put(self, data: bytes) -> bool:
        """Take the shortcut if `data` is a plain PUT."""
        server = self.server
        found = parse_plain_put(data, server.settings.kv_max_value_size)
        if found is None or self.transport is None or self._paused:
            return False
        try:
            future = server.log.propose(encode(KVSet(found[0], found[1])))
        except MeshError:
            return False
        self._held = bytearray()
        self._served += 1
        started = self._loop.time()
        future.add_done_callback(lambda done: self._put_done(done, started))
        return True

    def _put_done(self, future: asyncio.Future[Any], started: float) -> None:
        server = self.server
        held, self._held = self._held, None
        took_ms = (self._loop.time() - started) * 1000.0
        server.put_sampler.sample(took_ms)
        server.apply_sampler.sample(took_ms)
        error = None if future.cancelled() else future.exception()
        transport = self.transport
        if transport is None or self._force_close:
            self._release(None)
            return
        if future.cancelled():
            self._refuse(503, "the agent is shutting down")
            self._release(None)
            return
        if error is None:
            transport.write(server.put_true if future.result() else server.put_false)
        else:
            transport.writelines(server.wire(server.write_failed(error), keep_alive=True))
        self._release(held)

    def _hold(self, data: bytes) -> None:
        held = self._held
        if held is None:
            return
        if not held:
            self._pause_reading_for_buffer()
        held += data
