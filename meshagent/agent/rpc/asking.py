"""I/O edge: asking a server, and another one while that can help: what does not concern feeds.

Source: surface row G21 (`rpc_hold_timeout`). What may be changed: times. Nothing here knows what is asked.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from meshagent.agent.rpc.limit import RpcLimit
from meshagent.agent.rpc.retry import Retry
from meshagent.agent.rpc.session import Session
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.clock import Clock
from meshagent.errors import MeshError, RemoteProtocolError

__all__ = ["RETRY_S", "Asking"]

log = logging.getLogger("agent.client")

#: How long a part of a longer request may take: the last one has its answer.
PART_TIMEOUT_S = 3600.0
#: Of a longer answer so much is on its way and unread: 40 MB/s over a line of 100 ms.
WINDOW_BYTES = 4 << 20
#: Between two attempts of a call that failed while the connection stands.
RETRY_S = 0.05


class Asking:
    """The half of `Upstream` that asks; the other half keeps `_session` and gives a session when there is one."""

    settings: RpcSettings
    limit: RpcLimit
    _clock: Clock
    _session: Session | None

    async def _usable(self, retry: Retry) -> Session:
        raise NotImplementedError

    async def call(self, method: str, payload: bytes, timeout_s: float | None = None) -> bytes:
        """Ask a server; again another while that can help, for `hold_timeout_s` after an attempt failed.

        `timeout_s` bounds one attempt. Raises the error of the last attempt; NoLeader when there is no server;
        RpcRateExceeded.
        """
        self.limit.take()
        retry = Retry(self._clock, self.settings.hold_timeout_s)
        while True:
            session = await self._usable(retry)
            retry.begins()
            try:
                return await session.link.call(method, payload, timeout_s or self.settings.client_timeout_s)
            except MeshError as error:
                if not error.retryable or retry.exhausted(lost=not session.link.ready):
                    raise
                log.debug("call failed, trying again: method=%s server=%s: %s", method, session.server.address, error)
            if session is self._session:
                await self._clock.sleep(RETRY_S)

    async def stream(self, method: str, payload: bytes) -> AsyncGenerator[bytes, None]:
        """Ask for a longer answer. It is tried again until its first piece has come. Raises as `call`.

        A reader that is slow makes the server wait.
        """
        self.limit.take()
        retry = Retry(self._clock, self.settings.hold_timeout_s)
        while True:
            session = await self._usable(retry)
            retry.begins()
            pieces = session.link.stream(method, payload, self.settings.client_timeout_s, window=WINDOW_BYTES)
            try:
                first = await anext(pieces, None)
                break
            except MeshError as error:
                if not error.retryable or retry.exhausted(lost=not session.link.ready):
                    raise
            if session is self._session:
                await self._clock.sleep(RETRY_S)
        if first is not None:
            async with aclosing(pieces):
                yield first
                async for piece in pieces:
                    yield piece

    async def call_in_parts(self, method: str, parts: AsyncIterator[bytes]) -> bytes:
        """Send parts to one server, each when the one before is taken; the first answer that is not empty ends it.

        Nothing is tried again. Raises NoLeader: there is no server; RpcRateExceeded.
        """
        self.limit.take()
        session = await self._usable(Retry(self._clock, self.settings.hold_timeout_s))
        async for part in parts:
            answer = await session.link.call(method, part, PART_TIMEOUT_S)
            if answer:
                return answer
        raise RemoteProtocolError("the server answered nothing")

    async def wait_connected(self) -> None:
        """Return when a server can be asked. Raises NoLeader: none within `hold_timeout_s`."""
        await self._usable(Retry(self._clock, self.settings.hold_timeout_s))
