"""I/O edge: one stream with one Envoy: snapshots in, responses out, until one of the two has enough.

The token is asked about before anything is said, when it changes, and every five minutes at least. A proxy that is not
registered is waited for; one that goes ends its stream. What an Envoy does not accept is in the log, counted, and shown
(`status`).

Source: surface rows X4, L6; Consul's agent/xds (1.10, MPL) for the order of questions and the words of refusals. What
may change here: times.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshagent.agent.acl.access import is_not_found
from meshagent.agent.acl.proxies_visible import seen_by
from meshagent.agent.grpc.connection import (
    INVALID_ARGUMENT,
    NOT_FOUND,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
    Closed,
    Finished,
    Received,
)
from meshagent.agent.grpc.methods import Refused
from meshagent.agent.xds.messages import Peer, decode_request, encode_response
from meshagent.clock import Tasks
from meshagent.connect.envoy.delta import Command, DeltaStream, Rejected, Send
from meshagent.connect.envoy.versioned import VersionedResources
from meshagent.errors import Denied, MeshError, NotFound

if TYPE_CHECKING:
    from meshagent.agent.acl.access import Access
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.acl.resolver import Identity
    from meshagent.agent.grpc.channel import Call
    from meshagent.agent.xds.service import XdsService
    from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["RECHECK_S", "Stream"]

log = logging.getLogger("agent.envoy.xds")

#: A token that is not asked about otherwise is after so long.
RECHECK_S = 300.0
#: How often it is looked whether a proxy is registered by now, beside when one is registered here.
LOOK_S = 2.0
#: Kinds that cannot be served before their leaf is there.
_SHOWS_LEAF = frozenset({"connect-proxy", "ingress-gateway", "api-gateway"})

#: What the stream tells itself, among what arrives.
_TICK = Received(-1, b"tick")


class _News:
    """A snapshot, or why there is none."""

    def __init__(self, snapshot: ProxySnapshot | None, error: MeshError | None = None) -> None:
        self.snapshot = snapshot
        self.error = error


class Stream:
    """One stream; `run` ends with it."""

    def __init__(self, service: XdsService, call: Call) -> None:
        self._service = service
        self._agent = service.agent
        self._call = call
        self._tasks = Tasks()
        self._machine = DeltaStream()
        self._there: VersionedResources = {}
        self._identity: Identity | None = None
        self._watching: asyncio.Task[Any] | None = None
        self._timer: asyncio.Task[Any] | None = None
        self._wake_at: float | None = None
        self._begun = self._agent.clock.monotonic()
        self._problems: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._digest = ""
        self._has_leaf = True
        self._inbox: asyncio.Queue[Any] = call.events
        self.peer = Peer()
        self.opened_at = self._agent.clock.now()
        self.acknowledged: dict[str, int] = {}
        self.authorized = False

    async def run(self) -> None:
        """Serve until the end. Raises Refused, MeshError: how the call is to end."""
        try:
            first = await self._call.next()
            if not isinstance(first, Received):
                return
            asked = decode_request(first.message)
            if asked.peer is None or not asked.peer.id:
                raise Refused(INVALID_ARGUMENT, "the first request has no node with the id of a proxy")
            self.peer = asked.peer
            self._check_version()
            self._do(self._machine.received(asked.request, self._now))
            self._watch()
            while await self._handle(await self._call.next()):
                self._set_timer()
        finally:
            if self._identity is not None and self._changed in self._identity.listeners:
                self._identity.listeners.remove(self._changed)
            await self._tasks.cancel()

    def leave(self, reason: MeshError) -> None:
        """End it: there is a better place for it."""
        self._inbox.put_nowait(_News(None, reason))

    def status(self) -> dict[str, Any]:
        """What a person is shown of it."""
        return {
            "ProxyID": self.peer.id,
            "Remote": self._call.remote,
            "EnvoyVersion": self.peer.version,
            "Since": self.opened_at.isoformat(timespec="seconds"),
            "Authorized": self.authorized,
            "Acknowledged": dict(self.acknowledged),
            "Rejected": dict(self._refused),
            "Unsendable": dict(self._problems),
        }

    @property
    def _now(self) -> float:
        return self._agent.clock.monotonic()

    # --- what arrives ------------------------------------------------------------------------------------------

    async def _handle(self, event: Any) -> bool:
        """Take what has happened; False at the end."""
        if isinstance(event, _News):
            self._told(event)
        elif event is _TICK:
            self._do(self._machine.tick(self._now))
        elif isinstance(event, Received):
            request = decode_request(event.message).request
            if request.nonce and request.error is None:
                kind = _short(request.type_url)
                self.acknowledged[kind] = self.acknowledged.get(kind, 0) + 1
            self._do(self._machine.received(request, self._now))
            self._forget_refusals()
        return not isinstance(event, Finished | Closed)

    def _told(self, news: _News) -> None:
        if news.error is not None:
            raise news.error
        snapshot = news.snapshot
        if snapshot is None:
            return
        if not self.authorized:
            self.authorized = True
            self._service.admit(self)
            self._call.known()
            self._service.count()
        try:
            resources, problems = self._service.resources(snapshot, self._there, self.peer.version)
        except Refused:
            raise
        except MeshError as error:  # of what an operator wrote: what the Envoy has goes on
            log.warning("nothing can be made for Envoy: proxy=%s: %s", self.peer.id, error)
            self._problems = {"configuration": str(error)}
            return
        for name in problems.keys() - self._problems.keys():
            log.warning("cannot be sent to Envoy: proxy=%s resource=%s: %s", self.peer.id, name, problems[name])
        self._problems = problems
        self._there = resources
        self._do(self._machine.offer(resources, self._now))
        self._forget_refusals()
        if self._begun >= 0:
            self._agent.metrics.measure("xds.server.streamStart", self._begun)
            self._begun = -1.0

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Send(type_url, nonce, resources, removed):
                    encoded = tuple(one.encoded for _, one in resources)
                    self._call.send(encode_response(type_url, nonce, encoded, removed))
                    log.debug(
                        "told: proxy=%s type=%s nonce=%s resources=%d removed=%d",
                        self.peer.id, _short(type_url), nonce, len(resources), len(removed),
                    )  # fmt: skip
                case Rejected():
                    self._rejected(command)

    def _rejected(self, command: Rejected) -> None:
        kind = _short(command.type_url)
        self._agent.metrics.incr("xds.server.rejected", 1, (("type", kind),))
        log.warning(
            "Envoy did not accept: proxy=%s type=%s resources=%s given_up=%s: %s",
            self.peer.id, kind, ",".join(command.names[:10]), ",".join(command.given_up), command.error,
        )  # fmt: skip
        for name in command.given_up:
            self._refused[f"{kind} {name}"] = command.error

    def _forget_refusals(self) -> None:
        if self._refused:
            now = {f"{_short(type_url)} {name}" for type_url, held in self._machine.rejected().items() for name in held}
            self._refused = {name: error for name, error in self._refused.items() if name in now}

    def _set_timer(self) -> None:
        if self._machine.wake_at == self._wake_at:
            return
        self._wake_at = self._machine.wake_at
        if self._timer is not None:
            self._timer.cancel()
        if self._wake_at is not None:
            self._timer = self._tasks.start(self._tick(self._wake_at - self._now), name="xDS timer")

    async def _tick(self, delay_s: float) -> None:
        await self._agent.clock.sleep(max(delay_s, 0.0))
        self._timer = self._wake_at = None
        self._inbox.put_nowait(_TICK)

    def _check_version(self) -> None:
        from meshagent.connect.envoy.versions import problem

        found = problem(self.peer.version) if self.peer.version else ""
        if found:
            raise Refused(INVALID_ARGUMENT, found)

    # --- what is known of the proxy ----------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = self._tasks.start(self._follow(), name="snapshots of an Envoy")

    def _changed(self) -> None:
        """The token is not what it was."""
        self._identity = None
        self._watch()

    async def _follow(self) -> None:
        """Put each snapshot into the queue, and at last why there are no more."""
        try:
            while not self._service.ending:
                seen = await self._seen()
                wait_s = RECHECK_S if self._has_leaf else LOOK_S
                try:
                    snapshot, digest = await self._service.snapshot(self.peer, self._digest, wait_s, seen)
                except NotFound as error:
                    if self._digest:
                        raise Refused(NOT_FOUND, str(error)) from error
                    if self._identity is not None:  # who could have no proxy at all is not kept
                        self._identity.access.require_any("service", "write")
                    await self._service.registered(self.peer, LOOK_S)
                    continue
                if digest == self._digest:
                    continue
                self._digest = digest
                self._has_leaf = bool(snapshot.leaf_chain) or snapshot.kind not in _SHOWS_LEAF
                if not self._has_leaf:
                    continue
                await self._service.turn()
                self._inbox.put_nowait(_News(snapshot))
        except MeshError as error:
            self._inbox.put_nowait(_News(None, _status(error)))

    async def _seen(self) -> Callable[[ProxySnapshot], ProxySnapshot]:
        """What the token leaves of a snapshot. Raises Denied: it is none."""
        guardian: Guardian | None = self._agent.extras.get("acl")
        if guardian is None:
            return lambda snapshot: snapshot
        identity = await guardian.identify(self._call.token)
        self._agent.extras["mesh"].tokens.shown(self._call.token)
        if identity is not self._identity:
            self._identity = identity
            identity.listeners.append(self._changed)
        access: Access = identity.access

        def seen(snapshot: ProxySnapshot) -> ProxySnapshot:
            access.require("service", "write", snapshot.service)
            return seen_by(access, snapshot)

        return seen


def _status(error: MeshError) -> MeshError:
    """How a call ends, in upstream's words."""
    if isinstance(error, Denied):
        if is_not_found(error):
            return Refused(UNAUTHENTICATED, f"unauthenticated: {error}")
        return Refused(PERMISSION_DENIED, str(error))
    return error


def _short(type_url: str) -> str:
    return type_url.rpartition(".")[2]
