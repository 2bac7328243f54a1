"""I/O edge: who calls: tokens resolved, and streams that end when their token does.

Source: surface rows X30-X33, L28; the words and codes are Consul's. What may change here: what a stream waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING

from meshagent.agent.grpc.methods import Refused
from meshagent.errors import Denied

if TYPE_CHECKING:
    from meshagent.agent.acl.access import Access
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.acl.resolver import Identity
    from meshagent.agent.core import Agent
    from meshagent.catalog.watch import Subscription, Topic

__all__ = ["UNAUTHENTICATED", "follow", "identify", "require_some_service", "require_some_token"]

#: A status of gRPC that no error of ours has: nobody knows the token.
UNAUTHENTICATED = 16

#: What a caller must be allowed; raises Denied or Refused.
Requirement = Callable[["Access"], None]


async def identify(agent: Agent, token: str, needs: Requirement) -> Identity | None:
    """Who has a token, None with ACLs off. Raises Refused: nobody, or what `needs` raises."""
    guardian: Guardian | None = agent.extras.get("acl")
    if guardian is None:
        return None
    try:
        identity = await guardian.identify(token)
    except Denied as error:
        raise Refused(UNAUTHENTICATED, str(error)) from error
    needs(identity.access)
    return identity


def require_some_token(access: Access) -> None:
    """Any token, but not none. Raises Refused."""
    if access.anonymous:
        raise Refused(
            UNAUTHENTICATED,
            "An ACL token must be provided (via the `x-consul-token` metadata field) to call this endpoint",
        )


def require_some_service(access: Access) -> None:
    """`service:write` on any service. Raises Denied."""
    access.require_any("service", "write")


async def follow(
    agent: Agent, token: str, needs: Requirement, topics: Iterable[Topic], make: Callable[[], bytes]
) -> AsyncIterator[bytes]:
    """What `make` gives, now and whenever one of `topics` has made another of it, for as long as `token` may.

    Raises:
        Refused: nobody has the token (any more).
        Denied: it may not (any more).
    """
    woken = asyncio.Event()
    wake = woken.set
    identity = await identify(agent, token, needs)
    subscription: Subscription | None = None
    told: bytes | None = None
    wanted = tuple(topics)
    if identity is not None:
        identity.listeners.append(wake)
    try:
        while True:
            woken.clear()
            if identity is not None and identity.stale:
                identity = await identify(agent, token, needs)
                if identity is not None:
                    identity.listeners.append(wake)
            if subscription is None or not subscription.active:
                subscription = agent.store.watches.subscribe(wanted, wake)
            message = make()
            if message != told:
                told = message
                yield message
                continue
            await woken.wait()
    finally:
        if subscription is not None:
            subscription.cancel()
        if identity is not None and wake in identity.listeners:
            identity.listeners.remove(wake)
