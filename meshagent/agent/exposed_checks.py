"""Checks of a service whose sidecar exposes them (`Expose.Checks`) are dialled through the sidecar.

Each HTTP and gRPC check gets a port of `ports.expose_min_port` to `expose_max_port`, shown as `ExposedPort`; the check
that runs goes there, and the sidecar's snapshot has a plaintext listener for it. A check over TLS is left alone: the
listener speaks none.

Source: surface row K21; `checks/expose.py` rewrites targets. What may change here: which checks are exposed.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import msgspec

from meshagent.agent.check_runs import Runner
from meshagent.agent.checks.expose import expose_grpc, expose_http
from meshagent.agent.definitions import CheckDefinition, lowest_free_port
from meshagent.agent.local import LocalState
from meshagent.agent.registration import LocalCheck, LocalService, Observer
from meshagent.catalog.model import ExposePath, Service
from meshagent.errors import MeshError

__all__ = ["ExposedChecks", "exposed_paths"]

log = logging.getLogger("agent")


def _turn(entry: LocalCheck) -> bool:
    """Ports are given to HTTP checks before gRPC ones, as in Consul."""
    return entry.definition is not None and bool(entry.definition.grpc)


_GRPC_PATH = "/grpc.health.v1.Health/Check"


class ExposedChecks(Observer):
    """Gives ports to checks, and the check that runs its target. To be told after `CheckRuns`."""

    def __init__(self, local: LocalState, runner: Runner) -> None:
        self._local = local
        self._runner = runner
        #: Proxies by id, with the id of the service they are for.
        self._proxies: dict[str, str] = {}
        #: By check: what runs in its place.
        self._running: dict[str, CheckDefinition] = {}
        local.observe(self)

    def service_added(self, entry: LocalService) -> None:
        service = entry.service
        before = self._proxies.pop(service.id, "")
        target = service.proxy.destination_service_id if service.kind == "connect-proxy" else ""
        if target:
            self._proxies[service.id] = target
        for one in {before, target} - {""}:
            self._follow(one)

    def service_removed(self, entry: LocalService) -> None:
        target = self._proxies.pop(entry.service.id, "")
        if target:
            self._follow(target)

    def check_added(self, entry: LocalCheck) -> None:
        self._running.pop(entry.check.check_id, None)  # it was started anew, with its own target
        self._route(entry, self._exposing(entry.check.service_id))

    def check_removed(self, entry: LocalCheck) -> None:
        if self._running.pop(entry.check.check_id, None) is not None:
            self._tell(entry.check.service_id)

    # --- inside ------------------------------------------------------------------------------------------------

    def _exposing(self, service_id: str) -> Service | None:
        """The proxy that exposes the checks of a service."""
        for proxy_id, target in self._proxies.items():
            held = self._local.services.get(proxy_id)
            if target == service_id and held is not None and held.service.proxy.expose.checks:
                return held.service
        return None

    def _follow(self, service_id: str) -> None:
        proxy = self._exposing(service_id)
        for entry in sorted(self._local.checks_of(service_id), key=_turn):
            self._route(entry, proxy)

    def _route(self, entry: LocalCheck, proxy: Service | None) -> None:
        check, definition = entry.check, entry.definition
        if definition is None:
            return
        port = 0
        if proxy is not None and _exposable(definition):
            port = check.exposed_port or self._free_port(check.check_id)
        wanted = _routed(definition, proxy.address if proxy is not None else "", port) if port else None
        if wanted == self._running.get(check.check_id) and port == check.exposed_port:
            return
        if wanted is None:
            self._running.pop(check.check_id, None)
        else:
            self._running[check.check_id] = wanted
        self._local.expose_check(check.check_id, port)
        self._runner.add(check.check_id, wanted or definition, status=check.status, output=check.output)
        self._tell(check.service_id)

    def _free_port(self, check_id: str) -> int:
        settings = self._local.settings
        used = {entry.check.exposed_port for entry in self._local.checks.values()}
        used |= {entry.service.port for entry in self._local.services.values()}
        try:
            return lowest_free_port(used, settings.expose_min_port, settings.expose_max_port)
        except MeshError:
            log.error(
                "check is not exposed, no port of ports.expose_min_port to expose_max_port is free: check=%s", check_id
            )
            return 0

    def _tell(self, service_id: str) -> None:
        """The sidecar's snapshot has other listeners now."""
        for proxy_id, target in self._proxies.items():
            if target == service_id:
                self._local.watches.notify(("agent-service", proxy_id))


def exposed_paths(local: LocalState, service_id: str) -> tuple[ExposePath, ...]:
    """What the sidecar of a service exposes because of its checks."""
    return tuple(
        _path(entry.definition, entry.check.exposed_port)
        for entry in local.checks_of(service_id)
        if entry.definition is not None and entry.check.exposed_port
    )


def _exposable(definition: CheckDefinition) -> bool:
    return definition.http.startswith("http://") or bool(definition.grpc and not definition.grpc_use_tls)


def _routed(definition: CheckDefinition, address: str, port: int) -> CheckDefinition:
    address = address or "127.0.0.1"
    if definition.http:
        return msgspec.structs.replace(definition, http=expose_http(definition.http, address, port))
    return msgspec.structs.replace(definition, grpc=expose_grpc(definition.grpc, address, port))


def _path(definition: CheckDefinition, port: int) -> ExposePath:
    """Where a check wants to go."""
    path, protocol = _GRPC_PATH, "http2"
    url = urlsplit(f"//{definition.grpc}")
    if definition.http:
        url = urlsplit(definition.http)
        path, protocol = url.path or "/", "http"
    return ExposePath(
        listener_port=port, path=path, local_path_port=url.port or 80, protocol=protocol, parsed_from_check=True
    )
