"""I/O edge: one stream with a peer, run on a call of a connection until it ends. Both sides alike.

Joins `PeerStream` to the store: what changes here is offered, what the peer tells goes into the log, one write after
the other, and is acknowledged when it is there.

Source: surface rows X37, PE3. What may change here: how long changes are gathered before they are offered.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from meshagent.agent.grpc.connection import MAX_UNSENT, Closed, Finished, Received
from meshagent.agent.peering.exporting import SIDECAR_SUFFIX, Exporter
from meshagent.agent.peering.messages import (
    EXPORTED_SERVICE,
    EXPORTED_SERVICE_LIST,
    SERVER_ADDRESSES,
    TRUST_BUNDLE,
    Heartbeat,
    decode_message,
    decode_names,
    decode_roots,
    encode_message,
)
from meshagent.agent.peering.resources import decode_instances
from meshagent.agent.peering.stream import Command, Ended, PeerStream, Send, Take
from meshagent.catalog.peering.commands import (
    ImportedKeep,
    ImportedReplace,
    PeeringTell,
    PeeringTerminate,
    TrustBundleSet,
)
from meshagent.catalog.peering.model import DELETING, Peering, TrustBundle
from meshagent.clock import Tasks
from meshagent.errors import MeshError, RemoteProtocolError
from meshagent.hostport import split_host_port

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.grpc.channel import Call, Heard
    from meshagent.agent.peering.status import StreamStatus
    from meshagent.catalog.watch import Subscription

__all__ = ["MAX_MESSAGE", "MAX_NAMES", "Session"]

log = logging.getLogger("agent.peering")

#: One resource: all instances of a service. 10,000 of them have about 4 MiB.
MAX_MESSAGE = 16 * 1024 * 1024
#: Services of one peer, and letters of a name.
MAX_NAMES = 10_000
MAX_NAME = 256
MAX_ROOTS = 32
MAX_ADDRESSES = 64
#: Changes within this time are offered together.
GATHER_S = 0.05
TICK_S = 1.0
SLICE = 200
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,253}[a-z0-9])?")

#: What the session tells itself, among what arrives.
_TICK, _CHANGED = Received(-1, b"tick"), Received(-2, b"changed")


class Session:
    """One stream. `run` returns why it ended."""

    def __init__(self, agent: Agent, row: Peering, call: Call, status: StreamStatus, *, dials: bool) -> None:
        self._agent = agent
        self._id, self._name = row.id, row.name
        self._call = call
        self._status = status
        self._dials = dials
        self._stream = PeerStream(row.peer_id if dials else "", agent.clock.monotonic(), dials=dials)
        self._exporter = Exporter(agent.store, row.name, agent.datacenter)
        self._ended: Ended | None = None
        self._tasks = Tasks()
        self._subscription: Subscription | None = None
        self._gathering = False

    async def run(self) -> Ended:
        """Talk until the stream ends; the call and the connection are left to the caller."""
        self._status.connected, self._status.error = True, ""
        self._tasks.start(self._tick(), name="ticks of a peering")
        try:
            await self._do(self._stream.start())
            await self._offer()
            while self._ended is None:
                await self._handle(await self._call.next())
        except MeshError as error:
            self._ended = Ended(str(error))
        finally:
            self._status.connected = False
            if self._subscription is not None:
                self._subscription.cancel()
            await self._tasks.cancel()
        return self._ended

    def leave(self, reason: str) -> None:
        """End it: another one has taken its place."""
        self._call.events.put_nowait(Closed(reason))

    async def _tick(self) -> None:
        while True:
            await self._agent.clock.sleep(TICK_S)
            self._call.events.put_nowait(_TICK)

    def _wake(self) -> None:
        if not self._gathering:
            self._gathering = True
            self._tasks.start(self._gather(), name="changes for a peer")

    async def _gather(self) -> None:
        await self._agent.clock.sleep(GATHER_S)
        self._call.events.put_nowait(_CHANGED)

    async def _offer(self) -> None:
        """Offer all there is, and watch what it came from."""
        self._gathering = False
        row = self._agent.store.peerings.of_id(self._id)
        if row is None or row.state == DELETING:
            await self._do(self._stream.terminate())
            return
        if self._call.unsent >= MAX_UNSENT:  # the peer reads slowly: it will be told of more later
            self._wake()
            return
        for kind, id, resource in self._exporter.refresh():
            if kind != SERVER_ADDRESSES or not self._dials:  # who dials is not dialed
                await self._do(self._stream.offer(kind, id, resource))
        self._status.exported = list(self._exporter.names)
        if self._subscription is not None:
            self._subscription.cancel()
        topics = (*self._exporter.topics, ("peering", self._name))
        self._subscription = self._agent.store.watches.subscribe(topics, self._wake)

    async def _handle(self, event: Heard) -> None:
        clock = self._agent.clock
        if event is _TICK:
            await self._do(self._stream.tick(clock.monotonic()))
        elif event is _CHANGED:
            await self._offer()
        elif isinstance(event, Received):
            message = decode_message(event.message)
            self._status.last_receive = clock.now()
            if isinstance(message, Heartbeat):
                self._status.last_heartbeat = self._status.last_receive
            await self._do(self._stream.received(message, clock.monotonic()))
        elif isinstance(event, Finished):
            self._ended = Ended(event.text or "the other side ended the stream")
        elif isinstance(event, Closed):
            self._ended = Ended(event.reason)

    async def _do(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Send(message):
                    self._call.send(encode_message(message))
                    self._status.last_send = self._agent.clock.now()
                case Take():
                    await self._do(self._stream.taken(command, await self._take(command)))
                case Ended():
                    self._ended = command
                    if command.terminated:
                        await self._agent.write_as_leader(PeeringTerminate(self._id))

    # --- what the other side tells -----------------------------------------------------------------------------

    async def _take(self, take: Take) -> str:
        """Write it; why it could not be, "" when it was."""
        try:
            await self._write(take)
        except RemoteProtocolError as error:
            log.warning("what the peer told cannot be taken: peer=%s id=%s: %s", self._name, take.id, error)
            return str(error)
        except MeshError as error:
            log.warning("what the peer told is not written yet: peer=%s id=%s: %s", self._name, take.id, error)
            return str(error)
        self._status.imported = self._agent.store.imported.service_names(self._name)
        return ""

    async def _write(self, take: Take) -> None:
        write, resource = self._agent.write_as_leader, take.resource
        if take.kind == EXPORTED_SERVICE:
            if not 0 < len(take.id) <= MAX_NAME:
                raise RemoteProtocolError("a service without a name, or with one that is too long")
            known = self._agent.store.imported.of(self._name)
            entries = decode_instances(take.id, resource) if resource is not None else ()
            if entries and not known.has(take.id.lower()) and known.count_names() >= 2 * MAX_NAMES:
                raise RemoteProtocolError(f"more than {MAX_NAMES} services")
            if not self._agent.store.imported.holds(self._name, take.id, entries):
                await write(ImportedReplace(self._name, take.id, entries))
        elif resource is None:
            raise RemoteProtocolError(f"{take.kind} cannot be deleted")
        elif take.kind == EXPORTED_SERVICE_LIST:
            names = decode_names(resource)
            if len(names) > MAX_NAMES:
                raise RemoteProtocolError(f"more than {MAX_NAMES} services")
            kept = tuple(part for name in names for part in (name, name + SIDECAR_SUFFIX))
            while self._agent.store.imported.holds_others(self._name, kept):
                await write(ImportedKeep(self._name, kept, SLICE))
        elif take.kind == TRUST_BUNDLE:
            found = decode_roots(resource)
            _check_roots(found.roots)
            self._check_domain(found.trust_domain)
            bundle = TrustBundle(peer=self._name, trust_domain=found.trust_domain, roots=found.roots)
            await write(TrustBundleSet(bundle))
        else:
            addresses = decode_names(resource)
            if len(addresses) > MAX_ADDRESSES or not all(split_host_port(one, 0)[1] for one in addresses):
                raise RemoteProtocolError("addresses of servers that are none, or too many")
            await write(PeeringTell(self._id, addresses))

    def _check_domain(self, trust_domain: str) -> None:
        """A peer speaks for its own trust domain: not for ours, nor another peer's, nor another than its token's."""
        store = self._agent.store
        row = store.peerings.of_id(self._id)
        taken = {one.trust_domain for one in store.peerings.bundles.values() if one.peer != self._name}
        if not _DOMAIN.fullmatch(trust_domain) or trust_domain in taken or trust_domain == store.ca.trust_domain:
            raise RemoteProtocolError(f"roots of the trust domain {trust_domain[:64]!r}, which is not the peer's")
        if row is not None and row.dials and not row.server_name.endswith(f".{trust_domain}"):
            raise RemoteProtocolError(f"roots of the trust domain {trust_domain[:64]!r}, which its token does not name")


def _check_roots(roots: tuple[str, ...]) -> None:
    from meshagent.connect.certs import facts

    if not 0 < len(roots) <= MAX_ROOTS:
        raise RemoteProtocolError(f"{len(roots)} roots; 1 to {MAX_ROOTS} are taken")
    for pem in roots:
        if not facts(pem.encode()).is_ca:
            raise RemoteProtocolError("a root that is not the certificate of an authority")
