"""`/v1/agent/connect/proxy/:id`: the snapshot that a proxy registered here works from.

Ours: the built-in proxy reads it, with the key of its leaf (`?secrets`), and blocks on its hash; `meshagent proxy
config` shows it. Consul has no such endpoint.

Source: our own; hash blocking as surface row C14. What may change here: fields of the snapshot grow
(connect/snapshot.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from typing import TYPE_CHECKING, Annotated

import msgspec

from meshagent.agent.acl.access import Access, not_found
from meshagent.agent.acl.guards import needs, this_node
from meshagent.agent.acl.locally import require_proxy
from meshagent.agent.acl.proxies_visible import seen_by
from meshagent.agent.http.connect_ca import mesh_of
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response, encode_json
from meshagent.agent.http.routes import Route
from meshagent.catalog import model
from meshagent.connect.central import MERGED_KINDS
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import BadRequest, MeshError, NotFound

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.core import Agent
    from meshagent.agent.proxies import Seen

__all__ = ["ROUTES"]

log = logging.getLogger("agent.http")

_WAIT_S = 300.0
_WAIT_MAX_S = 600.0
#: So long the own process of an agent waits with ACLs on: a token that was made or ended meanwhile counts then.
_OWN_WAIT_S = 10.0
#: Waits end up to this part later, so that not all come back at once.
_JITTER_FRACTION = 16


async def _proxy(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise BadRequest("Missing proxy ID")
    proxies = mesh_of(agent).proxies
    node = request.query.get("node") or ""
    if node:
        try:
            service = proxies.registered(request.name, node)
        except NotFound:  # what is there is not told to who may have nothing of it
            request.access.require_any("service", "write")
            raise
        request.access.require("service", "write", service.proxy.destination_service_name or service.name)
    else:
        require_proxy(agent.local, request.access, request.name)
        if proxies.is_given(request.name):  # only who may write its service gets it, by describing it
            raise NotFound(f"unknown proxy ID: {request.name}")
    mesh_of(agent).tokens.shown(request.token)
    wait_s = _wait_s(agent, request)
    found = await proxies.get(request.name, request.options.hash, wait_s, _seen(agent, request), node)
    return _shown(request, *found)


class GivenUpstream(msgspec.Struct):
    """An upstream of a proxy that is described by flags."""

    Name: str
    Port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    Address: str = "127.0.0.1"


class Given(msgspec.Struct):
    """A proxy that is described by flags in place of a registration. Without a local port nobody comes in."""

    Service: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    Address: str = ""
    Port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    LocalAddress: str = ""
    LocalPort: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    Upstreams: Annotated[list[GivenUpstream], msgspec.Meta(max_length=1000)] = []

    def row(self) -> model.Service:
        """As a registration."""
        upstreams = tuple(
            model.Upstream(destination_name=one.Name, local_bind_address=one.Address, local_bind_port=one.Port)
            for one in self.Upstreams
        )
        proxy = model.Proxy(
            destination_service_name=self.Service,
            local_service_address=self.LocalAddress,
            local_service_port=self.LocalPort,
            upstreams=upstreams,
        )
        port = self.Port if self.LocalPort else 0
        where = hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]
        return model.Service(
            id=f"{self.Service} by flags {where}",
            name=f"{self.Service}-proxy",
            kind="connect-proxy",
            address=self.Address,
            port=port,
            proxy=proxy,
        )


async def _given(agent: Agent, request: Request) -> Response:
    try:
        given = msgspec.json.decode(request.body or b"{}", type=Given)
    except msgspec.DecodeError as error:
        raise BadRequest(f"Request decode failed: {error}") from error
    request.access.require("service", "write", given.Service)
    proxies = mesh_of(agent).proxies
    mesh_of(agent).tokens.shown(request.token)
    wait_s = _wait_s(agent, request)
    found = await proxies.get_given(given.row(), request.options.hash, wait_s, _seen(agent, request))
    return _shown(request, *found)


def _seen(agent: Agent, request: Request) -> Seen:
    """What the token of a request leaves of a snapshot, at that moment: it may have ended while the request waited."""

    def seen(snapshot: ProxySnapshot) -> ProxySnapshot:
        access = _access_now(agent, request)
        access.require("service", "write", snapshot.service)
        return seen_by(access, snapshot)

    return seen


def _access_now(agent: Agent, request: Request) -> Access:
    if request.identity is None or not request.identity.stale:
        return request.access
    guardian: Guardian = agent.extras["acl"]
    identity = guardian.held(request.token)
    if identity is None:
        raise not_found()
    return identity.access


def _wait_s(agent: Agent, request: Request) -> float:
    wait_s = min(request.options.wait_ns / 1e9 or _WAIT_S, _WAIT_MAX_S)
    return wait_s + agent.rng.random() * wait_s / _JITTER_FRACTION


def _shown(request: Request, snapshot: ProxySnapshot, digest: str) -> Response:
    if request.query.has("secrets"):
        body = msgspec.json.encode(snapshot)
    else:
        body = encode_json(snapshot.shown())
    return Response(200, body, (("X-Consul-Contenthash", digest),), JSON)


class Held(msgspec.Struct):
    """What a process with all sidecars of the host has: the digest of each snapshot."""

    Known: dict[str, str] = {}


class Changed(msgspec.Struct):
    """The digests of now, and the snapshots (with keys) that are others than what is known."""

    Digests: dict[str, str]
    Snapshots: dict[str, ProxySnapshot]


async def _proxies(agent: Agent, request: Request) -> Response:
    try:
        held = msgspec.json.decode(request.body or b"{}", type=Held)
    except msgspec.DecodeError as error:
        raise BadRequest(f"Request decode failed: {error}") from error
    wait_s = min(request.options.wait_ns / 1e9 or _WAIT_S, _WAIT_MAX_S)
    guardian: Guardian | None = agent.extras.get("acl")
    if guardian is not None and guardian.tokens.is_own(request.token):
        seen, wait_s = await _seen_by_registration(agent, guardian), min(wait_s, _OWN_WAIT_S)
    else:
        for id_, held_here in agent.local.services.items():
            if held_here.service.kind in MERGED_KINDS:
                require_proxy(agent.local, request.access, id_)
        mesh_of(agent).tokens.shown(request.token)
        seen = _seen(agent, request)
    digests, snapshots = await mesh_of(agent).proxies.changed(held.Known, wait_s, seen)
    return Response(200, msgspec.json.encode(Changed(digests, snapshots)), (), JSON)


async def _seen_by_registration(agent: Agent, guardian: Guardian) -> Seen:
    """What the agent's own process is given: of each proxy what the token may see that it was registered with."""
    tokens = {entry.token or guardian.tokens.default for entry in agent.local.services.values()}
    for token in sorted(tokens):
        with contextlib.suppress(MeshError):
            await guardian.identify(token)

    def seen(snapshot: ProxySnapshot) -> ProxySnapshot:
        entry = agent.local.services.get(snapshot.proxy_id)
        identity = guardian.held(entry.token or guardian.tokens.default) if entry is not None else None
        if identity is None or not identity.access.allows("service", "write", snapshot.service):
            log.debug("left out, its token may not write the service: proxy=%s", snapshot.proxy_id)
            raise NotFound(f"unknown proxy ID: {snapshot.proxy_id}")
        return seen_by(identity.access, snapshot)

    return seen


ROUTES = (
    Route(
        row="M70", method="PUT", path="/v1/agent/connect/proxy",
        asks=True,
        acl="service:write", flags="H", handle=_given,
        summary="the same for a proxy that is described in the body and registered nowhere (ours)",
        example="curl -X PUT localhost:8500/v1/agent/connect/proxy -d '{\"Service\": \"web\"}'",
    ),
    Route(
        row="M70", method="PUT", path="/v1/agent/connect/proxies",
        asks=True,
        guard=needs("agent", "write", this_node),
        acl="agent:write, service:write", flags="H", handle=_proxies,
        summary="what all proxies registered here work from, as soon as it is other than known (ours; with keys)",
        example="curl -X PUT localhost:8500/v1/agent/connect/proxies -d '{\"Known\": {}}'",
    ),
    Route(
        row="M70", method="GET", path="/v1/agent/connect/proxy/",
        asks=True,
        acl="service:write", flags="H", handle=_proxy,
        summary="what a proxy registered here works from (ours; ?secrets: with the key of its leaf; ?node=: one that a"
        " server has in the catalog, without an agent)",
        example="curl localhost:8500/v1/agent/connect/proxy/web-sidecar-proxy",
    ),
)  # fmt: skip
