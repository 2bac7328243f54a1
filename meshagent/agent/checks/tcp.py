"""I/O edge: TCP checks: a connection, and with `TCPUseTLS` a handshake, is enough.

Source: surface row K12. A name is tried at all its addresses. What may be changed here: nothing of the wording.
"""

from __future__ import annotations

import asyncio

from meshagent.agent.checks.definition import Definition, or_default
from meshagent.agent.checks.dial import Secure, parse_target
from meshagent.agent.checks.probe import PASSING, Outcome, Probe, ProbeFailed, Tools, critical

__all__ = ["prepare"]

DEFAULT_TIMEOUT_S = 10.0


def prepare(definition: Definition, tools: Tools) -> Probe:
    """The probe of a TCP check.

    Raises:
        ProbeFailed: the address is none.
    """
    target = parse_target(definition.tcp)
    secure = None
    if definition.tcp_use_tls:
        secure = Secure(definition.tls_skip_verify, definition.tls_server_name)
    timeout_s = or_default(definition.timeout, DEFAULT_TIMEOUT_S)
    success = Outcome(PASSING, f"TCP connect {target.text}: Success")

    async def probe() -> Outcome:
        connection: _HangUp | None = None
        try:
            async with asyncio.timeout(timeout_s):
                connection = await tools.dialer.connect(target, _HangUp, secure)
        except ProbeFailed as error:
            return critical(str(error))
        except TimeoutError:
            return critical(f"dial tcp {target.text}: i/o timeout")
        finally:
            if connection is not None:
                connection.close()
        return success

    return probe


class _HangUp(asyncio.Protocol):
    """Holds the connection until it is closed again; what the server says is not read."""

    __slots__ = ("_transport",)

    def __init__(self) -> None:
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
