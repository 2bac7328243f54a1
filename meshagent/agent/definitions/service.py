"""A service as it is registered, with its checks and its sidecar.

Source: surface rows A10, M1 and M2; developer.hashicorp.com/consul/docs/services/configuration. The messages and their
order are a running Consul's. What Consul 1.20 lets pass (any port number, any kind, odd names) passes here too, with a
warning where it cannot work. A field may be added with its zero as default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from meshagent.agent.definitions.check import CHECK_STATUSES, ServiceCheck
from meshagent.agent.definitions.rules import multierror, service_problems
from meshagent.catalog.model import Connect, Locality, Proxy, Row, Service, ServiceAddress, Weights
from meshagent.errors import BadRequest

__all__ = ["ConnectDefinition", "ServiceDefinition", "meta_problem"]

_ANY_ADDRESS = frozenset({"0.0.0.0", "::", "[::]"})
_META_KEY = re.compile(r"[a-zA-Z0-9_-]+\Z")
_META_MAX_PAIRS, _META_MAX_KEY, _META_MAX_VALUE = 64, 128, 512
_DNS_LABEL = re.compile(r"[a-zA-Z0-9-]+\Z")
_DNS_LABEL_MAX = 63  # RFC 1035 section 2.3.4
#: A mesh gateway says so that it is for servers, too.
_OWN_META = {"mesh-gateway": frozenset({"consul-wan-federation"})}


class ConnectDefinition(Row, frozen=True, kw_only=True):
    """How a service takes part in the mesh: by itself, or through a sidecar registered beside it."""

    go_name: ClassVar[str] = "ServiceConnect"
    go_alias: ClassVar[bool] = True

    native: bool = False
    sidecar_service: ServiceDefinition | None = None


class ServiceDefinition(Row, frozen=True, kw_only=True):
    """One service; empty means "not given" everywhere."""

    go_alias: ClassVar[bool] = True

    kind: str = ""
    id: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    port: int = 0
    address: str = ""
    socket_path: str = ""
    tagged_addresses: dict[str, ServiceAddress] | None = None
    enable_tag_override: bool = False
    meta: dict[str, str] | None = None
    weights: Weights | None = None
    check: ServiceCheck | None = None
    checks: tuple[ServiceCheck, ...] = ()
    proxy: Proxy | None = None
    connect: ConnectDefinition | None = None
    locality: Locality | None = None
    token: str = ""

    @property
    def service_id(self) -> str:
        """The id it registers under."""
        return self.id or self.name

    @property
    def sidecar(self) -> ServiceDefinition | None:
        """The sidecar registered with it."""
        return self.connect.sidecar_service if self.connect else None

    @property
    def all_checks(self) -> tuple[ServiceCheck, ...]:
        """`check` (unless empty), then `checks`."""
        if self.check is None or self.check.is_empty:
            return self.checks
        return (self.check, *self.checks)

    def validate(self) -> None:
        """The checks of `agent/service/register` (surface row A10).

        Raises:
            BadRequest: with Consul's message, for the first problem.
        """
        if not self.name:
            raise BadRequest("Missing service name")
        sidecar = self.sidecar
        if self.address in _ANY_ADDRESS or (sidecar and sidecar.address in _ANY_ADDRESS):
            raise BadRequest("Invalid service address")
        self._check_parts("")
        if sidecar:
            sidecar._check_parts("sidecar ")
        problems = service_problems(self.row(), sidecar)
        if problems:
            raise BadRequest(f"Validation failed: {multierror(problems)}")

    def _check_parts(self, which: str) -> None:
        if self.weights is not None and (problem := _weights_problem(self.weights)):
            raise BadRequest(f"Invalid {which}Weights: {problem}")
        if problem := meta_problem(self.meta or {}, _OWN_META.get(self.kind, frozenset())):
            raise BadRequest(f"Invalid {'Service' if not which else 'SidecarService'} Meta: {problem}")
        for check in self.all_checks:
            if problem := check.problem():
                raise BadRequest(f"Invalid {which}check: {problem}")
            if check.status and check.status not in CHECK_STATUSES:
                raise BadRequest("Status for checks must 'passing', 'warning', 'critical'")

    def warnings(self) -> list[str]:
        """What registers but will not work as hoped."""
        found = []
        for what, text in [("Service name", self.name), *(("Service tag", tag) for tag in self.tags)]:
            if not _DNS_LABEL.match(text):
                found.append(
                    f'{what} "{text}" will not be discoverable via DNS due to invalid characters. '
                    "Valid characters include all alpha-numerics and dashes."
                )
            elif len(text) > _DNS_LABEL_MAX:
                found.append(
                    f'{what} "{text}" will not be discoverable via DNS due to it being too long. '
                    f"Valid lengths are between 1 and {_DNS_LABEL_MAX} bytes."
                )
        if not 0 <= self.port <= 65535:
            found.append(f'Service "{self.service_id}" has port {self.port}, which no client can dial')
        return found

    def row(self) -> Service:
        """The catalog row of this instance as given: without its sidecar, checks and token."""
        return Service(
            kind=self.kind,
            id=self.service_id,
            name=self.name,
            tags=self.tags,
            address=self.address,
            tagged_addresses=self.tagged_addresses,
            meta=self.meta or {},
            port=self.port,
            socket_path=self.socket_path,
            weights=self.weights or Weights(),
            enable_tag_override=self.enable_tag_override,
            proxy=self.proxy or Proxy(),
            connect=Connect(native=bool(self.connect and self.connect.native)),
            locality=self.locality,
        )


def _weights_problem(weights: Weights) -> str:
    if weights.passing < 1:
        return "Passing must be greater than 0"
    if weights.warning < 0:
        return "Warning must be greater or equal than 0"
    if weights.passing > 65535 or weights.warning > 65535:
        return "DNS Weight must be between 0 and 65535"
    return ""


def meta_problem(meta: Mapping[str, str], own: frozenset[str] = frozenset()) -> str:
    """What is wrong with the metadata of a service or node, or "": it is limited in number, length and characters.
    `own` are keys of Consul's that this kind of service may have."""
    if len(meta) > _META_MAX_PAIRS:
        return f"Node metadata cannot contain more than {_META_MAX_PAIRS} key/value pairs"
    for key, value in meta.items():
        if problem := _meta_pair_problem(key, value, own):
            return f"Couldn't load metadata pair ('{key}', '{value}'): {problem}"
    return ""


def _meta_pair_problem(key: str, value: str, own: frozenset[str]) -> str:
    if not key:
        return "Key cannot be blank"
    if not _META_KEY.match(key):
        return "Key contains invalid characters"
    if len(key) > _META_MAX_KEY:
        return f"Key is too long (limit: {_META_MAX_KEY} characters)"
    if key.startswith("consul-") and key not in own:
        return "Key prefix 'consul-' is reserved for internal use"
    if len(value) > _META_MAX_VALUE:
        return f"Value is too long (limit: {_META_MAX_VALUE} characters)"
    return ""
