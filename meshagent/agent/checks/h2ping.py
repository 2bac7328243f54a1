"""I/O edge: HTTP/2 checks: the server answers a PING frame.

Source: surface row K17; RFC 9113 section 6.7. Over TLS (the default) the server must agree to `h2`; without, the
connection begins with HTTP/2 at once ("prior knowledge"). What may be changed here: nothing of the wording.
"""

from __future__ import annotations

import asyncio

from meshagent.agent.checks.definition import Definition, or_default
from meshagent.agent.checks.dial import Secure, parse_target
from meshagent.agent.checks.h2_exchange import H2Ping
from meshagent.agent.checks.probe import PASSING, Outcome, Probe, ProbeFailed, Tools, critical

__all__ = ["prepare"]

DEFAULT_TIMEOUT_S = 10.0


def prepare(definition: Definition, tools: Tools) -> Probe:
    """The probe of an HTTP/2 ping check.

    Raises:
        ProbeFailed: the address is none.
    """
    target = parse_target(definition.h2ping)
    secure = None
    if definition.h2ping_tls:
        secure = Secure(definition.tls_skip_verify, definition.tls_server_name, alpn="h2")
    timeout_s = or_default(definition.timeout, DEFAULT_TIMEOUT_S)

    async def probe() -> Outcome:
        exchange = H2Ping()
        doing = f"Failed to dial to {definition.h2ping}"
        try:
            async with asyncio.timeout(timeout_s):
                await tools.dialer.connect(target, lambda: exchange, secure)
                doing = "HTTP2 ping failed"
                await exchange.finished
        except ProbeFailed as error:
            return critical(f"{doing}: {error}")
        except TimeoutError:
            return critical(f"{doing}: context deadline exceeded")
        finally:
            exchange.close()
        return Outcome(PASSING, "HTTP2 ping was successful")

    return probe
