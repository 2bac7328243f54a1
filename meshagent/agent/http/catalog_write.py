"""`/v1/catalog/register` and `/v1/catalog/deregister`: writing rows past the agent (external services, monitors).

Source: surface rows CT1, CT2 and the answers of a running Consul to bad registrations: what a server refuses is a 500,
what cannot be decoded a 400. The order of the checks is Consul's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from meshagent.agent.acl.registering import require_deregister, require_register
from meshagent.agent.decode import Nanoseconds, decode_body
from meshagent.agent.definitions.rules import multierror, service_problems
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response
from meshagent.agent.http.routes import Route
from meshagent.catalog import commands
from meshagent.catalog.model import (
    Check,
    CheckDefinition,
    Locality,
    Node,
    Proxy,
    Row,
    Service,
    Upstream,
    Weights,
    always,
)
from meshagent.durations import format_duration
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES", "CheckBody", "ServiceBody", "instance_row", "require_uuid"]

_HEX = frozenset("0123456789abcdefABCDEF")


class DefinitionBody(Row, frozen=True, kw_only=True):
    """`Check.Definition` as it is sent: durations are strings or nanoseconds."""

    go_name: ClassVar[str] = "HealthCheckDefinition"

    http: str = ""
    header: dict[str, tuple[str, ...]] | None = None
    method: str = ""
    body: str = ""
    disable_redirects: bool = False
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    tcp: str = ""
    tcp_use_tls: bool = msgspec.field(default=False, name="TCPUseTLS")
    udp: str = ""
    grpc: str = ""
    grpc_use_tls: bool = msgspec.field(default=False, name="GRPCUseTLS")
    os_service: str = ""
    interval: Nanoseconds = 0
    timeout: Nanoseconds = 0
    deregister_critical_service_after: Nanoseconds = 0

    @property
    def kind(self) -> str:
        """The type Consul gives a check by its definition."""
        kinds = {"grpc": self.grpc, "http": self.http, "tcp": self.tcp, "udp": self.udp, "os_service": self.os_service}
        return next((kind for kind, value in kinds.items() if value), "")

    def row(self) -> CheckDefinition:
        """As the catalog holds it: durations in Go's form."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        for name in ("interval", "timeout", "deregister_critical_service_after"):
            fields[name] = format_duration(fields[name]) if fields[name] else ""
        return CheckDefinition(**fields)


class CheckBody(Row, frozen=True, kw_only=True):
    """A check as it is sent."""

    go_name: ClassVar[str] = "HealthCheck"

    node: str = ""
    check_id: str = ""
    name: str = ""
    status: str = ""
    notes: str = ""
    output: str = ""
    service_id: str = ""
    service_name: str = ""
    service_tags: tuple[str, ...] = ()
    type: str = ""
    interval: str = ""
    timeout: str = ""
    exposed_port: int = 0
    definition: DefinitionBody | None = None
    create_index: int = 0
    modify_index: int = 0

    def row(self, node: str) -> Check:
        """As the catalog holds it."""
        if self.node and self.node.lower() != node.lower():
            check_id = self.check_id or self.name
            raise InternalError(
                f"Node '{self.node}' for check '{check_id}' doesn't match register request node '{node}'"
            )
        return Check(
            node=node,
            check_id=self.check_id or self.name,
            name=self.name,
            status=self.status or "critical",
            notes=self.notes,
            output=self.output,
            service_id=self.service_id,
            type=self.type or (self.definition.kind if self.definition is not None else ""),
            interval=self.interval,
            timeout=self.timeout,
            exposed_port=self.exposed_port,
            definition=self.definition.row() if self.definition is not None else CheckDefinition(),
        )


class UpstreamBody(Upstream, frozen=True, kw_only=True):
    """An upstream as it is sent: the catalog fills in no destination type, unlike the agent."""

    go_name: ClassVar[str] = "Upstream"

    destination_type: str = always("")


class ProxyBody(Proxy, frozen=True, kw_only=True):
    """A `Proxy` block as it is sent."""

    go_name: ClassVar[str] = "ConnectProxyConfig"

    upstreams: tuple[UpstreamBody, ...] | None = None


class ServiceBody(Service, frozen=True, kw_only=True):
    """An instance as it is sent. It encodes like a `Service`, so it goes into the log as it is."""

    go_name: ClassVar[str] = "NodeService"

    proxy: ProxyBody = always(ProxyBody())


class RegisterBody(Row, frozen=True, kw_only=True):
    """The body of `catalog/register`."""

    go_name: ClassVar[str] = "RegisterRequest"

    id: str = ""
    node: str = ""
    address: str = ""
    datacenter: str = ""
    tagged_addresses: dict[str, str] | None = None
    node_meta: dict[str, str] | None = None
    skip_node_update: bool = False
    locality: Locality | None = None
    service: ServiceBody | None = None
    check: CheckBody | None = None
    checks: tuple[CheckBody, ...] | None = None
    peer_name: str = ""


class DeregisterBody(Row, frozen=True, kw_only=True):
    """The body of `catalog/deregister`. Clients still send `address`, which decides nothing."""

    go_name: ClassVar[str] = "DeregisterRequest"

    node: str = ""
    address: str = ""
    datacenter: str = ""
    service_id: str = ""
    check_id: str = ""
    peer_name: str = ""


async def _register(agent: Agent, request: Request) -> Response:
    started = agent.clock.monotonic()
    body = decode_body(RegisterBody, request.body, tenancy=True)
    _require_datacenter(agent, body.datacenter)
    command = registration(body, agent.datacenter)
    if not request.access.sees_all:
        await agent.log.read_barrier()
        require_register(request.access, agent.store, command)
    await agent.write(command)
    agent.metrics.measure("catalog.register", started)
    return Response(200, b"true", content_type=JSON)


async def _deregister(agent: Agent, request: Request) -> Response:
    started = agent.clock.monotonic()
    body = decode_body(DeregisterBody, request.body, tenancy=True)
    _require_datacenter(agent, body.datacenter)
    if not body.node:
        raise InternalError("Must provide node")
    command = commands.Deregister(body.node, body.service_id, body.check_id)
    if not request.access.sees_all:
        await agent.log.read_barrier()
        require_deregister(request.access, agent.store, command)
    await agent.write(command)
    agent.metrics.measure("catalog.deregister", started)
    return Response(200, b"true", content_type=JSON)


def registration(body: RegisterBody, datacenter: str) -> commands.Register:
    """The command of a registration.

    Raises:
        InternalError: in Consul's words.
    """
    if not body.node:
        raise InternalError("Must provide node")
    if not body.address and not body.skip_node_update:
        raise InternalError("Must provide address if SkipNodeUpdate is not set")
    if body.id:
        require_uuid(body.id)
    node = Node(
        id=body.id,
        name=body.node,
        address=body.address,
        datacenter=datacenter,
        tagged_addresses=body.tagged_addresses or None,
        meta=body.node_meta or None,
        locality=body.locality,
    )
    given = list(body.checks or ())
    if body.check is not None:
        given.append(body.check)
    checks = tuple(check.row(body.node) for check in given)
    return commands.Register(node, instance_row(body.service), checks, body.skip_node_update)


def instance_row(service: Service | None) -> Service | None:
    """The row of an instance, with its id; None for an empty one. Weights that cannot be are left at their default, as
    Consul's store does: the zeros that Go's clients send. Raises InternalError in Consul's words."""
    if service is None or not (service.id or service.name):
        return None
    if not service.name:
        raise InternalError("Must provide service name (Service.Service) when service ID is provided")
    if service.kind:
        problems = service_problems(service)
        if problems:
            raise InternalError(multierror(problems))
    weights = service.weights
    fit = 1 <= weights.passing <= 65535 and 0 <= weights.warning <= 65535
    if fit and service.id and service.meta is not None and not service.create_index and not service.modify_index:
        return service
    return msgspec.structs.replace(
        service,
        id=service.id or service.name,
        weights=weights if fit else Weights(),
        create_index=0,
        modify_index=0,
    )


def _require_datacenter(agent: Agent, datacenter: str) -> None:
    if datacenter and datacenter != agent.datacenter:
        raise InternalError("No path to datacenter")


def require_uuid(text: str) -> None:
    """Refuse what Consul's UUID parser refuses, in its words."""
    if len(text) != 36:
        raise InternalError("Bad node ID: uuid string is wrong length")
    if any(text[at] != "-" for at in (8, 13, 18, 23)):
        raise InternalError("Bad node ID: uuid is improperly formatted")
    for char in text.replace("-", ""):
        if char not in _HEX:
            raise InternalError(f"Bad node ID: encoding/hex: invalid byte: U+{ord(char):04X} {char!r}")


ROUTES = (
    Route(
        row="CT1", method="PUT", path="/v1/catalog/register",
        asks=True,
        acl="node:write, service:write", handle=_register,
        summary="write a node, and with it an instance and checks",
        example="""curl -X PUT -d '{"Node":"db1","Address":"10.0.0.9"}' localhost:8500/v1/catalog/register""",
    ),
    Route(
        row="CT2", method="PUT", path="/v1/catalog/deregister",
        asks=True,
        acl="node:write, service:write", handle=_deregister,
        summary="remove a node, an instance or a check",
        example="""curl -X PUT -d '{"Node":"db1"}' localhost:8500/v1/catalog/deregister""",
    ),
)  # fmt: skip
