"""What an operator does with peerings: make a token, establish with one, delete.

Any server carries these out; the log decides between two at the same time. The stream that follows is the leader's
(`keeper.py`).

Source: surface rows PE1-PE3; developer.hashicorp.com/consul/api-docs/peering; the words of a running Consul. Secrets
are UUIDs of the system's generator; of one that this side only recognises, nothing but a digest is kept.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.peering.token import PeeringToken, Place, decode_token, encode_token
from meshagent.catalog.peering.commands import PeeringDelete, PeeringSet
from meshagent.catalog.peering.model import ESTABLISHING, Peering, Remote, secret_digest
from meshagent.connect.sealing import seal_key
from meshagent.errors import InternalError, Unavailable
from meshagent.hostport import join_host_port

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.catalog.store import Store
    from meshagent.connect.sealing import SealingKey

__all__ = [
    "Dialer",
    "check_name",
    "delete_peering",
    "establish",
    "generate_token",
    "new_secret",
    "own_addresses",
    "server_name",
]

#: The name of a DNS label (RFC 1035) in lower case, without bounds: it stands in DNS names and URLs.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Dialer:
    """How this server exchanges secrets, and seals what it gets: (token) -> stream secret."""

    exchange: Callable[[PeeringToken], Awaitable[str]]
    sealing: SealingKey | None = None


def new_secret() -> str:
    """A random UUID, of the system's generator."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def check_name(name: str) -> None:
    """Raises InternalError for what is no name of a peer."""
    if not _NAME.fullmatch(name):
        raise InternalError(
            f"{name} is not a valid peer name: a valid peering name must consist of lower case alphanumeric "
            "characters or '-', and must start and end with an alphanumeric character"
        )


def server_name(datacenter: str, trust_domain: str) -> str:
    """The name that the servers of a cluster show to peers."""
    return f"server.{datacenter}.peering.{trust_domain}"


def own_addresses(store: Store) -> tuple[str, ...]:
    """Where peers reach the servers of this cluster: from the WAN, on their port for gRPC with TLS."""
    found = []
    for entry in store.registrations.entries("consul", checks=False):
        port = (entry.service.meta or {}).get("grpc_tls_port", "")
        if port.isdigit() and int(port) > 0:
            host = (entry.node.tagged_addresses or {}).get("wan") or entry.node.address
            found.append(join_host_port(host, int(port)))
    return tuple(found)


async def generate_token(agent: Agent, name: str, meta: dict[str, str] | None, external: Sequence[str]) -> str:
    """A fresh token for the peer `name`; the last one is not good for anything then.

    Raises:
        InternalError: no name of a peer, or this side was given a token by that peer.
        Unavailable: the mesh has no authority yet.
    """
    check_name(name)
    store = agent.store
    await agent.log.read_barrier()
    old = store.peerings.rows.get(name)
    if old is not None and old.dials:
        raise InternalError(f'cannot create peering with name: "{name}"; there is already an established peering')
    active = store.ca.active
    if active is None:
        raise Unavailable("the certificate authority has no root yet, try again in a moment")
    addresses = own_addresses(store)
    if not addresses and not external:
        raise InternalError("no server of this cluster listens on ports.grpc_tls: peers could not reach it")
    row = old if old is not None else Peering(id=agent.new_id(), name=name)
    row = msgspec.structs.replace(row, meta=meta or row.meta)
    secret = new_secret()
    await agent.write(PeeringSet(row, establishment=secret_digest(secret)))
    return encode_token(
        PeeringToken(
            ca=tuple(root.root_cert for root in store.ca.roots.values()),
            manual_server_addresses=tuple(external) or None,
            server_addresses=addresses,
            server_name=server_name(agent.datacenter, store.ca.trust_domain),
            peer_id=row.id,
            establishment_secret=secret,
            remote=Place(datacenter=agent.datacenter),
        )
    )


async def establish(agent: Agent, name: str, text: str, meta: dict[str, str] | None) -> None:
    """Use a token of another cluster. The other side must be reachable: the token's secret is exchanged at once.

    Raises:
        InternalError: no name of a peer, no token, one of this cluster, or one that the other side refuses.
    """
    check_name(name)
    token = decode_token(text)
    store = agent.store
    await agent.log.read_barrier()
    old = store.peerings.rows.get(name)
    if old is not None and not old.dials:
        raise InternalError(f'cannot establish peering "{name}": a token was generated for that name here')
    own_name = server_name(agent.datacenter, store.ca.trust_domain)
    if store.peerings.of_id(token.peer_id) is not None or token.server_name == own_name:
        raise InternalError("cannot create a peering within the same cluster")
    dialer: Dialer | None = agent.extras.get("peering_dialer")
    if dialer is None:
        raise Unavailable("peerings are established by servers with connect.enabled only")
    secret = await dialer.exchange(token)
    row = msgspec.structs.replace(
        old if old is not None and old.usable else Peering(id=agent.new_id(), name=name, dials=True),
        state=ESTABLISHING,
        meta=meta or (old.meta if old is not None else None),
        peer_id=token.peer_id,
        ca_pems=token.ca or (),
        server_name=token.server_name,
        server_addresses=token.server_addresses or (),
        manual_addresses=token.manual_server_addresses or (),
        remote=Remote(partition=token.remote.partition, datacenter=token.remote.datacenter),
    )
    await agent.write(PeeringSet(row, own=seal_key(row.id, secret.encode(), dialer.sealing)))


async def delete_peering(agent: Agent, name: str) -> None:
    """Have a peering deleted: the leader tells the other side and removes what was imported."""
    await agent.log.read_barrier()
    if name in agent.store.peerings.rows:
        now = agent.clock.now().astimezone(UTC).isoformat().replace("+00:00", "Z")
        await agent.write(PeeringDelete(name, now))
