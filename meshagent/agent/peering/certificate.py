"""I/O edge: the certificate that this server shows to peers, kept fresh in a TLS context.

It is of the mesh's authority, for `server.<datacenter>.peering.<trust domain>` and the servers' SPIFFE id; a token says
both to whom it is given. A key of its own, in memory only; renewed after 60 % of its life, and on another root.

Source: surface rows M61, M62, X37. What may change here: when it is renewed.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from datetime import datetime
from typing import TYPE_CHECKING

from meshagent.agent.peering.operations import server_name
from meshagent.catalog.rpc.tls import load_chain
from meshagent.connect import spiffe
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.connect.authority import Authority

__all__ = ["keep_certificate", "new_context", "renew_in_s"]

log = logging.getLogger("agent.peering")

RETRY_S = 1.0
LAST_RETRY_S = 60.0
RENEW_AT = 0.6


def new_context() -> ssl.SSLContext:
    """A context that shows nothing yet: handshakes fail until it does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def renew_in_s(valid_after: str, valid_before: str, now: datetime) -> float:
    """Seconds until 60 % of a certificate's life are over, at least one."""
    begin, end = datetime.fromisoformat(valid_after), datetime.fromisoformat(valid_before)
    return max(1.0, (begin + (end - begin) * RENEW_AT - now).total_seconds())


async def keep_certificate(agent: Agent, authority: Authority, context: ssl.SSLContext) -> None:
    """Have the context show a valid certificate, for ever: a peer dials as soon as it has its token."""
    changed = asyncio.Event()
    pause_s = RETRY_S
    while True:
        changed.clear()
        waiting = agent.store.watches.subscribe(["ca-roots"], changed.set)
        try:
            left_s = await _renew(agent, authority, context)
            pause_s = RETRY_S
        except MeshError as error:
            left_s, pause_s = pause_s, min(2 * pause_s, LAST_RETRY_S)
            log.debug("there is no certificate to show to peers yet: %s", error)
        rest = agent.tasks.start(agent.clock.sleep(left_s), name="life of the certificate for peers")
        woken = agent.tasks.start(changed.wait(), name="roots for the certificate for peers")
        try:
            await asyncio.wait((rest, woken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            rest.cancel()
            woken.cancel()
            waiting.cancel()


async def _renew(agent: Agent, authority: Authority, context: ssl.SSLContext) -> float:
    from meshagent.connect import certs

    trust_domain = agent.store.ca.trust_domain
    key = certs.new_key("ec", 256)
    uri = spiffe.format(spiffe.SpiffeID(trust_domain or "none", spiffe.SERVER, agent.datacenter))
    request = certs.request(key, uri, [server_name(agent.datacenter, trust_domain)])
    signed = await authority.sign(request, server=True)
    load_chain(context, signed.chain, key.decode("ascii"))
    return renew_in_s(signed.valid_after, signed.valid_before, agent.clock.now())
