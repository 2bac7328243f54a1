"""I/O edge: the leader keeps a stream to every peer: dials those that gave a token, serves those that were given one.

Source: surface rows PE1-PE3, X37; developer.hashicorp.com/consul/docs/east-west/cluster-peering/tech-specs. A stream
that ends is dialed again after 1 s, then twice as long each time up to a minute, at another server of the peer. The
streams end with the reign of this leader; the next one resumes them.

What may change here: the pauses.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING

from meshagent.agent.grpc.channel import DIAL_S, Call, dial
from meshagent.agent.grpc.connection import OK, PERMISSION_DENIED, Closed, Finished, Received
from meshagent.agent.peering.messages import (
    EXCHANGE,
    EXCHANGE_METHOD,
    GIVEN,
    STREAM_METHOD,
    Exchange,
    Open,
    Place,
    encode_message,
)
from meshagent.agent.peering.purging import purge_ended
from meshagent.agent.peering.serving import SMALL
from meshagent.agent.peering.session import MAX_MESSAGE, Session
from meshagent.agent.peering.status import Statuses
from meshagent.catalog.peering.commands import PeeringActivate
from meshagent.catalog.peering.model import Peering, secret_digest
from meshagent.clock import Tasks
from meshagent.connect.sealing import open_key
from meshagent.errors import Denied, MeshError, NoLeader, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshagent.agent.core import Agent
    from meshagent.agent.peering.token import PeeringToken
    from meshagent.connect.sealing import SealingKey

__all__ = ["PeeringKeeper", "client_context", "exchange_secret"]

log = logging.getLogger("agent.peering")

FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0
#: A stream that held so long was a good one: the pauses begin anew.
GOOD_S = 60.0


def client_context(ca_pems: tuple[str, ...]) -> ssl.SSLContext:
    """How servers of a peer are verified: by its own authorities, and the name that its token says.

    Raises:
        Unavailable: there is no authority that could be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(cadata="\n".join(ca_pems))
    except (ssl.SSLError, ValueError) as error:
        raise Unavailable(f"the certificates of the peer's authority cannot be used: {error}") from error
    return context


async def exchange_secret(token: PeeringToken) -> str:
    """The stream secret for the secret of a token, from the first server that answers.

    Raises:
        Denied: the token is not good (any more).
        Unavailable: no server could be reached, or none would answer.
    """
    context = client_context(token.ca or ())
    problems = []
    for address in token.addresses:
        try:
            return await _exchange_at(address, context, token)
        except Unavailable as error:
            problems.append(str(error))
    raise Unavailable(f"no server of the peer could be asked: {'; '.join(problems)}")


async def _exchange_at(address: str, context: ssl.SSLContext, token: PeeringToken) -> str:
    channel = await dial(address, context, token.server_name, SMALL)
    try:
        call = channel.call(EXCHANGE_METHOD, token.server_name)
        call.send(EXCHANGE.encode(Exchange(token.peer_id, token.establishment_secret)))
        call.end()
        given = ""
        async with asyncio.timeout(DIAL_S):
            while True:
                match await call.next():
                    case Received(_, message):
                        given = GIVEN.decode(message).secret
                    case Finished(_, code, _) if code == OK and given:
                        return given
                    case Finished(_, code, text) if code == PERMISSION_DENIED:
                        raise Denied(text)
                    case Finished(_, code, text):
                        raise Unavailable(f"{address} answered: {text or f'code {code}'}")
                    case Closed(reason):
                        raise Unavailable(f"{address}: {reason}")
    except TimeoutError:
        raise Unavailable(f"{address} does not answer") from None
    finally:
        channel.close()


class PeeringKeeper:
    """Streams of this server while it leads; `lead` is a duty of the leader."""

    def __init__(self, agent: Agent, sealing: SealingKey | None) -> None:
        self._agent = agent
        self._sealing = sealing
        self._leading = False
        self._tasks = Tasks()
        self._running: dict[str, Session] = {}
        self._dialing: set[str] = set()
        #: Both sides': how each connection or call is ended.
        self._open: set[Callable[[], None]] = set()
        self.statuses = Statuses()

    async def lead(self) -> None:
        """Keep the streams until cancelled."""
        changed = asyncio.Event()
        self._leading = True
        self._agent.extras["peering_status"] = self.statuses
        self._tasks.start(purge_ended(self._agent, lambda id: id not in self._running), name="ended peerings")
        try:
            while True:
                changed.clear()
                self._agent.store.watches.subscribe(["peerings"], changed.set)
                for row in self._agent.store.peerings.rows.values():
                    self.statuses.of(row.id)
                    if row.dials and row.usable and row.id not in self._dialing:
                        self._dialing.add(row.id)
                        self._tasks.start(self._keep(row.id), name=f"peering {row.name}")
                await changed.wait()
        finally:
            self._leading = False
            self._agent.extras.pop("peering_status", None)
            for end in list(self._open):
                end()
            await self._tasks.cancel()
            self._dialing.clear()
            self.statuses.by_id.clear()

    # --- dialing -----------------------------------------------------------------------------------------------

    async def _keep(self, peering_id: str) -> None:
        """Dial again and again while the peering is to be used."""
        clock, store, rng = self._agent.clock, self._agent.store, self._agent.rng
        pause_s, turn = FIRST_PAUSE_S, rng.randrange(1 << 16)
        try:
            while True:
                row = store.peerings.of_id(peering_id)
                if row is None or not row.usable:
                    return
                begun = clock.monotonic()
                reason = await self._round(row, turn)
                now = store.peerings.of_id(peering_id)
                if now is None or not now.usable:
                    return
                if clock.monotonic() - begun > GOOD_S:
                    pause_s = FIRST_PAUSE_S
                self.statuses.of(peering_id).error = reason
                log.warning("the stream to a peer has ended: peer=%s retry_s=%.1f: %s", row.name, pause_s, reason)
                await clock.sleep(pause_s * (0.75 + 0.5 * rng.random()))
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
                turn += 1
        finally:
            self._dialing.discard(peering_id)

    async def _round(self, row: Peering, turn: int) -> str:
        """Try the peer's servers, one after the other, until one has a stream that then ends; why it ended, or why none
        had one: only a leader has."""
        if not row.addresses:
            return "no address of the peer is known"
        reason = ""
        for at in range(len(row.addresses)):
            try:
                return await self._dial(row, row.addresses[(turn + at) % len(row.addresses)])
            except MeshError as error:
                reason = str(error)
        return reason

    async def _dial(self, row: Peering, address: str) -> str:
        """A stream with one server, until it ends. Raises MeshError: there is none."""
        agent = self._agent
        own = agent.store.peerings.secrets_of(row.id).own
        if own is None:
            raise Unavailable("there is no secret to dial with")
        secret = open_key(own, self._sealing).decode()
        bundle = agent.store.peerings.bundles.get(row.name)
        authorities = tuple(dict.fromkeys((*row.ca_pems, *(bundle.roots if bundle is not None else ()))))
        channel = await dial(address, client_context(authorities), row.server_name, MAX_MESSAGE)
        self._open.add(channel.close)
        try:
            call = channel.call(STREAM_METHOD, row.server_name)
            call.send(encode_message(Open(row.peer_id, secret, Place("", agent.datacenter))))
            first = await self._first(call)
            await agent.write_as_leader(PeeringActivate(row.id))
            call.back(first)
            return await self._run(row, call, dials=True)
        finally:
            self._open.discard(channel.close)
            channel.close()

    @staticmethod
    async def _first(call: Call) -> Received:
        """What the other side says first: then it has let us in."""
        try:
            async with asyncio.timeout(DIAL_S):
                event = await call.next()
        except TimeoutError:
            raise Unavailable("the other side says nothing") from None
        if isinstance(event, Received):
            return event
        raise Unavailable(event.text if isinstance(event, Finished) else getattr(event, "reason", "the call failed"))

    # --- serving -----------------------------------------------------------------------------------------------

    async def serve(self, call: Call, opening: Open) -> None:
        """A stream that a peer opened, until it ends.

        Raises:
            NoLeader: this server does not lead.
            Denied: no such peering, or a secret that does not open it.
        """
        if not self._leading:
            raise NoLeader("this server is not the leader of its cluster: try another one")
        peerings = self._agent.store.peerings
        digest = secret_digest(opening.secret)
        row = peerings.of_id(opening.peer_id)
        if not peerings.may_open(opening.peer_id, digest) or row is None:
            raise Denied("invalid peering stream secret")
        call.known()
        call.allow(MAX_MESSAGE)
        remote = opening.remote
        await self._agent.write_as_leader(PeeringActivate(row.id, digest, remote.partition, remote.datacenter))
        self._open.add(call.close)
        try:
            await self._run(row, call, dials=False)
        finally:
            self._open.discard(call.close)

    async def _run(self, row: Peering, call: Call, *, dials: bool) -> str:
        status = self.statuses.of(row.id)
        session = Session(self._agent, row, call, status, dials=dials)
        before = self._running.get(row.id)
        if before is not None:  # the peer has come back before it was missed
            before.leave("the peer has opened another stream")
        self._running[row.id] = session
        log.info("the stream to a peer is open: peer=%s remote=%s", row.name, call.remote)
        try:
            ended = await session.run()
        finally:
            if self._running.get(row.id) is session:
                del self._running[row.id]
            status.connected = row.id in self._running
        log.info("the stream to a peer is closed: peer=%s: %s", row.name, ended.reason)
        return ended.reason
