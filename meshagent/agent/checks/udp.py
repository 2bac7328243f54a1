"""I/O edge: UDP checks: a datagram is sent; any answer passes, and so does silence.

Source: surface row K13. Only a refusal (ICMP port unreachable) or a failure to send is critical, so a passing UDP check
of a silent service means no more than "nobody said no". Unlike Consul's, the output of a refusal leaves out our own
port: it differs on each run, and each difference would be a write to the catalog.

What may be changed here: nothing of the wording.

A plain connected socket, not asyncio's datagram endpoint: that one drops empty datagrams, and only a connected socket
hears of refusals.
"""

from __future__ import annotations

import asyncio
import socket

from meshagent.agent.checks.definition import Definition, or_default
from meshagent.agent.checks.dial import describe, parse_target
from meshagent.agent.checks.probe import PASSING, Outcome, Probe, ProbeFailed, Tools, critical

__all__ = ["prepare"]

DEFAULT_TIMEOUT_S = 10.0


def prepare(definition: Definition, tools: Tools) -> Probe:
    """The probe of a UDP check.

    Raises:
        ProbeFailed: the address is none.
    """
    target = parse_target(definition.udp, "udp")
    timeout_s = or_default(definition.timeout, DEFAULT_TIMEOUT_S)
    success = Outcome(PASSING, f"UDP connect {target.text}: Success")

    async def probe() -> Outcome:
        try:
            async with asyncio.timeout(timeout_s):
                address = (await tools.dialer.addresses(target, "udp"))[0]
                return await _ask(address, target.port) or success
        except ProbeFailed as error:
            return critical(str(error))
        except TimeoutError:
            return success

    return probe


async def _ask(address: str, port: int) -> Outcome | None:
    """None when something came back."""
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    doing = f"dial udp {where}: connect"
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.connect((address, port))
            doing = f"write udp {where}: write"
            sock.send(b"")
            doing = f"read udp {where}: read"
            await asyncio.get_running_loop().sock_recv(sock, 1)
    except TimeoutError:
        raise
    except OSError as error:
        return critical(f"{doing}: {describe(error)}")
    return None
