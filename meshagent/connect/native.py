"""I/O edge: mutual TLS of the mesh inside a Python service, without a sidecar.

    async with MeshService("web") as mesh:
        await site_with(ssl_context=mesh.server_context)          # who connects has proven an id and is allowed
        app = web.Application(middlewares=[mesh.middleware])      # and still is, at each request
        context = mesh.client_context("api")                      # whoever answers is api
        host, port = random.choice(await mesh.resolve("api"))
        await session.get(f"https://{host}:{port}/", ssl=context)

The service registers itself with `Connect { Native = true }`. Its leaf, the roots and the intentions are read from the
local agent, blocking, and taken up by the next handshake; while the agent is away the last ones stay in force.

Source: developer.hashicorp.com/consul/docs/connect/native (the same for Go); docs.python.org/3/library/ssl.html
(`sslobject_class`). What may change here: helpers for other frameworks.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from meshagent.clock import Clock, SystemClock, Tasks
from meshagent.connect import spiffe
from meshagent.connect.intentions import Decision
from meshagent.connect.proxy.authz import authorize
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import Unavailable

__all__ = ["SOURCE", "MeshService"]

log = logging.getLogger("meshagent.native")

#: Who asks, in a request that `middleware` has let through: a SPIFFE id.
SOURCE = web.RequestKey("mesh_source", str)

_WAIT = "60s"
_RETRY_S, _LONGEST_RETRY_S = 0.25, 5.0
_READY_S = 30.0


class MeshService:
    """One service's part in the mesh. Use as an async context manager; it is ready inside."""

    def __init__(
        self,
        service: str,
        http_addr: str = "",
        token: str = "",
        *,
        ready_s: float = _READY_S,
        clock: Clock | None = None,
    ) -> None:
        """`http_addr` and `token` default to CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN; `ready_s` is how long entering
        waits for a first leaf."""
        address = http_addr or os.environ.get("CONSUL_HTTP_ADDR", "") or "127.0.0.1:8500"
        self._base = address if "://" in address else f"http://{address}"
        self._token = token or os.environ.get("CONSUL_HTTP_TOKEN", "")
        self.service = service
        self._ready_s = ready_s
        self._clock = clock or SystemClock()
        self._tasks = Tasks()
        self._session: aiohttp.ClientSession | None = None
        self._snapshot: ProxySnapshot | None = None
        self._inside: ssl.SSLContext | None = None
        self._arrived = asyncio.Event()
        #: Give this one to a server: each handshake uses the leaf, roots and intentions of that moment.
        self.server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server_context.verify_mode = ssl.CERT_REQUIRED
        self.server_context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.server_context.sni_callback = self._take_up
        self.server_context.sslobject_class = _checking(self._check_client)

    async def __aenter__(self) -> MeshService:
        """Raises Unavailable when there is no leaf in time."""
        headers = {"X-Consul-Token": self._token} if self._token else {}
        self._session = aiohttp.ClientSession(headers=headers)
        self._tasks.start(self._follow(), name="mesh of a native service")
        try:
            async with asyncio.timeout(self._ready_s):
                await self._arrived.wait()
        except TimeoutError:
            await self.__aexit__()
            raise Unavailable(f"no leaf certificate of {self.service} from {self._base}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel()
        if self._session is not None:
            await self._session.close()

    # --- what a service uses -----------------------------------------------------------------------------------

    def client_context(self, service: str) -> ssl.SSLContext:
        """For connections to that service: the other end must prove to be it. Take a new one for each connection (or
        session): it has the leaf and roots of now."""
        snapshot = self.snapshot
        wanted = spiffe.format(spiffe.service_id(snapshot.trust_domain, snapshot.datacenter, service))

        def check(uri: str) -> str:
            return "" if uri == wanted else f"peer certificate mismatch: got {uri or 'none'}, want {wanted}"

        context = _context(ssl.PROTOCOL_TLS_CLIENT, snapshot)
        context.sslobject_class = _checking(check)
        return context

    async def resolve(self, service: str) -> list[tuple[str, int]]:
        """(address, port) of the healthy instances that speak the mesh's TLS. Raises Unavailable."""
        if self._session is None:
            raise Unavailable("the mesh service is not running")
        try:
            async with self._session.get(f"{self._base}/v1/health/connect/{service}?passing") as answer:
                answer.raise_for_status()
                rows = await answer.json()
        except aiohttp.ClientError as error:
            raise Unavailable(f"the agent does not say where {service} is: {error}") from error
        return [(row["Service"]["Address"] or row["Node"]["Address"], row["Service"].get("Port", 0)) for row in rows]

    def allowed(self, uri: str) -> Decision:
        """Whether the holder of a verified certificate with this SPIFFE id may connect, now."""
        return authorize(self.snapshot, uri)

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """For an aiohttp application: a connection that is no longer allowed is answered 403 and closed."""
        uri = uri_of(request.transport.get_extra_info("peercert") if request.transport is not None else None)
        decision = self.allowed(uri)
        if not decision.allowed:
            log.warning("request denied: source=%s reason=%s", uri or "(none)", decision.reason)
            denied = web.Response(status=403, text="RBAC: access denied\n")
            denied.force_close()
            return denied
        request[SOURCE] = uri
        return await handler(request)

    @property
    def snapshot(self) -> ProxySnapshot:
        """What is in force. Raises Unavailable before there is anything."""
        if self._snapshot is None:
            raise Unavailable(f"there is no leaf certificate of {self.service} yet")
        return self._snapshot

    # --- inside ------------------------------------------------------------------------------------------------

    def _take_up(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> int | None:
        if self._inside is None:
            return int(ssl.ALERT_DESCRIPTION_INTERNAL_ERROR)
        connection.context = self._inside
        return None

    def _check_client(self, uri: str) -> str:
        decision = self.allowed(uri)
        if not decision.allowed:
            log.warning("connection denied: source=%s reason=%s", uri or "(none)", decision.reason)
        return "" if decision.allowed else decision.reason

    async def _follow(self) -> None:
        digest, retry_s = "", _RETRY_S
        while True:
            try:
                digest = await self._once(digest)
                retry_s = _RETRY_S
            except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, ssl.SSLError, ValueError) as error:
                log.warning("watch errored: service=%s error=%s retry=%.2fs", self.service, error, retry_s)
                await self._clock.sleep(retry_s)
                retry_s = min(_LONGEST_RETRY_S, retry_s * 2)

    async def _once(self, digest: str) -> str:
        if self._session is None:
            return digest
        query = {"secrets": "", **({"hash": digest, "wait": _WAIT} if digest else {})}
        timeout = aiohttp.ClientTimeout(total=90)
        url = f"{self._base}/v1/agent/connect/proxy"
        async with self._session.put(url, params=query, json={"Service": self.service}, timeout=timeout) as answer:
            answer.raise_for_status()
            body = await answer.read()
            found = answer.headers.get("X-Consul-Contenthash", "")
        snapshot = msgspec.json.decode(body, type=ProxySnapshot)
        if not snapshot.leaf_chain or not snapshot.roots:
            await self._clock.sleep(_RETRY_S)
            return ""
        if self._snapshot is None or _keys(snapshot) != _keys(self._snapshot):
            self._inside = _context(ssl.PROTOCOL_TLS_SERVER, snapshot)
        self._snapshot = snapshot
        self._arrived.set()
        return found


def uri_of(certificate: Any) -> str:
    """The one URI of a certificate as `getpeercert` gives it; "" when there is not exactly one."""
    names = certificate.get("subjectAltName", ()) if certificate else ()
    uris = [str(value) for kind, value in names if kind == "URI"]
    return uris[0] if len(uris) == 1 else ""


def _checking(check: Callable[[str], str]) -> type[ssl.SSLObject]:
    """Ends a handshake with an error when `check` has one about the peer's URI."""

    class Checking(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            problem = check(uri_of(self.getpeercert()))
            if problem:
                raise ssl.SSLCertVerificationError(1, problem)

    return Checking


def _keys(snapshot: ProxySnapshot) -> tuple[str, tuple[str, ...]]:
    return snapshot.leaf_chain, snapshot.roots


def _context(protocol: Any, snapshot: ProxySnapshot) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.check_hostname = False  # the SPIFFE id is compared instead
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata="".join(snapshot.roots))
    # The standard library reads keys from files only: this one is in memory and has no name.
    handle = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        os.write(handle, (snapshot.leaf_chain + snapshot.leaf_key).encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context
