"""From one registration to what is stored: the instance, its sidecar, their checks, and the catalog rows of all.

Source: surface rows K1 (default ids and names), M2 and M3 (sidecar defaults) and the stored results of a running
Consul. Pure: the sidecar's port comes from the caller, who knows the ports in use. Ids made here are stable names that
dashboards and API clients know; they must not change.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Container
from typing import NamedTuple

import msgspec

from meshagent.agent.definitions.check import CheckDefinition, ServiceCheck
from meshagent.agent.definitions.service import ConnectDefinition, ServiceDefinition
from meshagent.catalog.model import Check, Proxy, Service, ServiceAddress
from meshagent.durations import format_duration
from meshagent.errors import BadRequest

__all__ = ["Registration", "check_row", "expand", "lowest_free_port", "sidecar_id", "to_service_row"]

_DEFAULT_LOCAL_ADDRESS = "127.0.0.1"
_LISTENING_INTERVAL_S = 10.0


class Registration(NamedTuple):
    """One instance as it is stored: `service` has its id and no sidecar, `checks` have ids, names and service_id."""

    service: ServiceDefinition
    checks: tuple[CheckDefinition, ...]


def sidecar_id(service_id: str) -> str:
    """The id of the sidecar registered with a service."""
    return f"{service_id}-sidecar-proxy"


def lowest_free_port(used: Container[int], low: int, high: int) -> int:
    """The sidecar port to assign out of `ports.sidecar_min_port` to `ports.sidecar_max_port`.

    Raises:
        BadRequest: when all are taken, or when the range is switched off (`low` < 1).
    """
    if low < 1 or high < low:
        raise BadRequest(
            "Invalid SidecarService: no port provided for sidecar_service and auto-assignment disabled in config"
        )
    for port in range(low, high + 1):
        if port not in used:
            return port
    raise BadRequest(
        "Invalid SidecarService: no port provided for sidecar_service and none left in the configured range "
        f"[{low}, {high}]"
    )


def expand(
    definition: ServiceDefinition, *, sidecar_port: Callable[[str], int], token: str = ""
) -> tuple[Registration, ...]:
    """The instances of a valid `definition`: itself and, if it asks for one, its sidecar.

    `sidecar_port(sidecar id)` is asked only when the sidecar names no port; it should give a sidecar that is already
    registered its port again. `token` is used where the definition has none.
    """
    service = msgspec.structs.replace(definition, id=definition.service_id, token=definition.token or token)
    if definition.sidecar is None:
        return (Registration(service, _checks(service)),)
    connect = ConnectDefinition(native=True) if definition.connect and definition.connect.native else None
    service = msgspec.structs.replace(service, connect=connect)
    sidecar = _sidecar(service, definition.sidecar, sidecar_port)
    return Registration(service, _checks(service)), Registration(sidecar, _checks(sidecar))


def _sidecar(parent: ServiceDefinition, given: ServiceDefinition, assign: Callable[[str], int]) -> ServiceDefinition:
    proxy = given.proxy or Proxy()
    local: dict[str, str | int] = {}
    if not proxy.local_service_socket_path:
        if parent.socket_path and not proxy.local_service_address and not proxy.local_service_port:
            local = {"local_service_socket_path": parent.socket_path}
        else:
            local = {
                "local_service_address": proxy.local_service_address or _DEFAULT_LOCAL_ADDRESS,
                "local_service_port": proxy.local_service_port or parent.port,
            }
    proxy = msgspec.structs.replace(
        proxy,
        destination_service_name=proxy.destination_service_name or parent.name,
        destination_service_id=proxy.destination_service_id or parent.id,
        **local,
    )
    id_ = sidecar_id(parent.id)
    sidecar = msgspec.structs.replace(
        given,
        kind="connect-proxy",
        id=id_,
        name=given.name or f"{parent.name}-sidecar-proxy",
        tags=given.tags or parent.tags,
        meta=given.meta or parent.meta,
        address=given.address or parent.address,
        locality=given.locality or parent.locality,
        token=given.token or parent.token,
        port=given.port if given.port or given.socket_path else assign(id_),
        proxy=proxy,
        connect=None,
    )
    if sidecar.all_checks:
        return sidecar
    return msgspec.structs.replace(sidecar, checks=_sidecar_checks(sidecar, proxy))


def _sidecar_checks(sidecar: ServiceDefinition, proxy: Proxy) -> tuple[ServiceCheck, ...]:
    alias = ServiceCheck(
        name=f"Connect Sidecar Aliasing {proxy.destination_service_id}", alias_service=proxy.destination_service_id
    )
    if not sidecar.port:
        return (alias,)
    host = sidecar.address or proxy.local_service_address or _DEFAULT_LOCAL_ADDRESS
    listening = ServiceCheck(
        name="Connect Sidecar Listening", tcp=_join_host_port(host, sidecar.port), interval=_LISTENING_INTERVAL_S
    )
    return listening, alias


def _join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _checks(service: ServiceDefinition) -> tuple[CheckDefinition, ...]:
    given = service.all_checks
    result = []
    for at, check in enumerate(given, 1):
        id_ = (
            check.check_id or check.id or (f"service:{service.id}:{at}" if len(given) > 1 else f"service:{service.id}")
        )
        name = check.name or f"Service '{service.name}' check"
        resolved = check.resolved(id=id_, name=name, service_id=service.id)
        if service.token and not resolved.token:
            resolved = msgspec.structs.replace(resolved, token=service.token)
        result.append(resolved)
    return tuple(result)


def to_service_row(service: ServiceDefinition) -> Service:
    """The catalog row of an expanded service; its address also stands under `lan_ipv4` and `wan_ipv4` (or `_ipv6`)."""
    row = service.row()
    family = _family(service.address)
    if not family:
        return row
    own = ServiceAddress(address=service.address, port=service.port)
    tagged = {f"lan_ipv{family}": own, f"wan_ipv{family}": own, **(service.tagged_addresses or {})}
    return msgspec.structs.replace(row, tagged_addresses=tagged)


def _family(address: str) -> int:
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 0


def check_row(check: CheckDefinition, *, node: str, service: Service | None = None, standalone: bool = False) -> Check:
    """The catalog row of a check before its first run: its given status, else critical.

    A check registered on its own (`standalone`) shows a missing interval and timeout as `0s`, one that came with a
    service as "".
    """
    return Check(
        node=node,
        check_id=check.id or check.name,
        name=check.name,
        status=check.status or "critical",
        notes=check.notes,
        service_id=service.id if service else "",
        service_name=service.name if service else "",
        service_tags=service.tags if service else (),
        type=check.kind,
        interval=_shown(check.interval, standalone),
        timeout=_shown(check.timeout, standalone),
    )


def _shown(seconds: float, always: bool) -> str:
    return format_duration(round(seconds * 1e9)) if seconds or always else ""
