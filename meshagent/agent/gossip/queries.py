"""Queries: asking all members, and answering what others ask.

A query is gossiped; whoever its filters let through acks (if asked to) and answers straight to the asker.
`relay_factor` copies go through other members, for when the straight way is broken. serf's own queries (`_serf_...`)
are answered here, the others become `QueryCame`.

Source: golden notes, "Queries". The asker's own ack and answer do not travel: that is all a peer cannot see. What may
change here: nothing else.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from meshagent.agent.gossip.asked import MAX_RUNNING, Asked
from meshagent.agent.gossip.delegate import Pool
from meshagent.agent.gossip.key_queries import INSTALL, LIST, REMOVE, USE, answer_key_query, fitting
from meshagent.agent.gossip.keyring import Keyring
from meshagent.agent.gossip.lamport import LamportClock
from meshagent.agent.gossip.member_table import MemberTable
from meshagent.agent.gossip.node import format_ip
from meshagent.agent.gossip.query_filters import meant_for
from meshagent.agent.gossip.seen import SeenWindow
from meshagent.agent.gossip.serf_codec import encode
from meshagent.agent.gossip.serf_messages import (
    FLAG_ACK,
    FLAG_NO_BROADCAST,
    ConflictResponse,
    KeyResponse,
    Query,
    QueryResponse,
    Relay,
)
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.agent.gossip.serf_signals import KeysChanged, QueryCame
from meshagent.errors import InternalError, RemoteProtocolError, Unavailable
from meshagent.machine import Command

__all__ = ["CONFLICT", "INTERNAL_PREFIX", "Queries"]

INTERNAL_PREFIX = "_serf_"
CONFLICT = "_serf_conflict"
_PING = "_serf_ping"
#: The oldest memberlist protocol that relays.
_RELAYS = 5
#: No query runs longer: its answers could not be told from those of a later one.
_MAX_TIMEOUT_S = 3600.0


class Queries:
    """Both sides of queries. Commands go to `out`, gossip to `broadcast`."""

    def __init__(
        self,
        *,
        pool: Pool,
        members: MemberTable,
        ring: Keyring,
        rng: random.Random,
        settings: SerfSettings,
        broadcast: Callable[[bytes], None],
        out: list[Command],
    ) -> None:
        self.clock = LamportClock()
        self.asked = Asked()
        self.counts: Counter[str] = self.asked.counts
        self._seen: SeenWindow[int] = SeenWindow(self.clock)
        self._seen.least = settings.least_query_time
        self._pool = pool
        self._members = members
        self._ring = ring
        self._rng = rng
        self._settings = settings
        self._broadcast = broadcast
        self._out = out
        self._keeping: dict[int, tuple[Query, float]] = {}
        self._tokens = 0

    # --- asking ----------------------------------------------------------------------------------------------------

    def ask(
        self,
        name: str,
        payload: bytes | None,
        now: float,
        *,
        filters: tuple[bytes, ...] = (),
        ack: bool = False,
        relay_factor: int = 0,
        timeout_s: float = 0.0,
    ) -> int:
        """Ask everybody that `filters` let through; ends in `QueryEnded` with the returned number.

        Raises:
            InternalError: it is too large for gossip.
            Unavailable: too many queries run.
        """
        if len(self.asked) >= MAX_RUNNING:
            raise Unavailable(f"{MAX_RUNNING} queries are running already")
        local = self._pool.local
        nodes = len(self._pool.up_nodes())
        timeout_s = min(timeout_s or self._settings.query_timeout_s(nodes), _MAX_TIMEOUT_S)
        query = Query(
            ltime=self.clock.time,
            id=self._rng.getrandbits(32),
            addr=local.addr,
            port=local.port,
            source_node=local.name,
            filters=filters,
            flags=FLAG_ACK if ack else 0,
            relay_factor=relay_factor,
            timeout_ns=int(timeout_s * 1e9),
            name=name,
            payload=payload,
        )
        data = encode(query)
        if len(data) > self._settings.query_bytes:
            raise InternalError(f"query exceeds limit of {self._settings.query_bytes} bytes")
        self.clock.increment()
        number = self.asked.begin(query, now + timeout_s, nodes)
        self.take(query, data, now)
        return number

    def answer(self, response: QueryResponse) -> None:
        """An ack or an answer to a query of ours came."""
        ended = self.asked.answer(response)
        if ended is not None:
            self._out.append(ended)

    def expire(self, now: float) -> None:
        """End what is over by now."""
        self._out += self.asked.expire(now)

    # --- answering -------------------------------------------------------------------------------------------------

    def take(self, query: Query, data: bytes, now: float) -> None:
        """A query came, ours or another's, as `data`."""
        self.clock.witness(query.ltime)
        if not self._seen.take(query.ltime, query.id):
            return
        self.counts["serf.queries"] += 1
        if not query.flags & FLAG_NO_BROADCAST:
            self._broadcast(data)
        local = self._pool.local
        own = self._members.get(local.name)
        if not meant_for(query.filters, local.name, own.tags if own is not None else {}):
            return
        if query.flags & FLAG_ACK:
            self._send(query, QueryResponse(query.ltime, query.id, local.name, FLAG_ACK), now)
        deadline = now + min(max(query.timeout_ns / 1e9, 0.0), _MAX_TIMEOUT_S)
        if not query.name.startswith(INTERNAL_PREFIX):
            self._out.append(QueryCame(query, deadline))
        elif query.name in (INSTALL, USE, REMOVE, LIST):
            self._about_keys(query, deadline, now)
        elif query.name == CONFLICT:
            self._about_conflict(query, now)
        elif query.name != _PING:
            self.counts["dropped.query"] += 1

    def respond(self, query: Query, payload: bytes, now: float) -> None:
        """Answer a query. Raises InternalError: the answer is too large."""
        response = QueryResponse(query.ltime, query.id, self._pool.local.name, 0, payload)
        limit = self._settings.query_response_bytes
        if len(encode(response)) > limit:
            raise InternalError(f"response exceeds limit of {limit} bytes")
        self._send(query, response, now)

    def keys_kept(self, token: int, response: KeyResponse, now: float) -> None:
        """What a key query changed is on disk, or `response` says why not: answer."""
        query, deadline = self._keeping.pop(token)
        if now <= deadline:
            self._respond_keys(query, response, now)

    def _about_keys(self, query: Query, deadline: float, now: float) -> None:
        version = self._ring.version
        response = answer_key_query(query.name, query.payload or b"", self._ring)
        if self._ring.version == version:
            self._respond_keys(query, response, now)
            return
        self._tokens += 1
        self._keeping[self._tokens] = (query, deadline)
        self._out.append(KeysChanged(self._tokens, self._ring.keys, response))

    def _respond_keys(self, query: Query, response: KeyResponse, now: float) -> None:
        room = self._settings.query_response_bytes - len(
            encode(QueryResponse(query.ltime, query.id, self._pool.local.name, 0, bytes(512)))
        )
        self.respond(query, fitting(response, room + 512), now)

    def _about_conflict(self, query: Query, now: float) -> None:
        """Say who we know under a name; its claimants do not answer."""
        name = (query.payload or b"").decode("utf-8", "replace")
        if name == self._pool.local.name:
            return
        entry = self._members.get(name)
        if entry is None:
            self.respond(query, encode(ConflictResponse(known=False)), now)
            return
        node = entry.node
        low, high, current, delegate_low, delegate_high, delegate = (*node.versions, *bytes(6))[:6]
        known = ConflictResponse(
            name=name,
            addr=node.addr,
            port=node.port,
            tags=entry.tags,
            status=int(entry.status),
            versions=(low, high, current, delegate_low, delegate_high, delegate),
        )
        self.respond(query, encode(known), now)

    def _send(self, query: Query, response: QueryResponse, now: float) -> None:
        local = self._pool.local
        if query.source_node == local.name and (query.addr, query.port) == (local.addr, local.port):
            self.answer(response)
            return
        try:
            address = (format_ip(query.addr), query.port)
        except ValueError:
            raise RemoteProtocolError("a query without an address to answer to") from None
        data = encode(response)
        self._pool.send_user(address, data, now)
        self._relay(query, data, now)

    def _relay(self, query: Query, data: bytes, now: float) -> None:
        """Hand copies to as many other members, in pools that have more than so many."""
        if not query.relay_factor or len(self._members) < query.relay_factor + 1:
            return
        message = encode(Relay(query.addr, query.port, query.source_node, data))
        local = self._pool.local
        helpers = [node for node in self._pool.up_nodes() if node.name != local.name and node.protocol_max >= _RELAYS]
        for node in self._rng.sample(helpers, min(query.relay_factor, len(helpers))):
            self._pool.send_user(node.address, message, now)

    def pass_on(self, relay: Relay, now: float) -> None:
        """Hand a relayed message on to where it goes."""
        try:
            address = (format_ip(relay.addr), relay.port)
        except ValueError:
            raise RemoteProtocolError("a relay without an address") from None
        self.counts["serf.relayed"] += 1
        self._pool.send_user(address, relay.inner, now)
