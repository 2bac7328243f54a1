"""What filter expressions can select: one table of names for each kind of row.

Source: surface rows F5, F7-F10; the selector tables of developer.hashicorp.com/consul/api-docs. A table maps Consul's
name to an attribute of our row (dots reach inside); `Struct`, `Each` and `Table` nest. What may change here: names are
added, never taken away. A new kind is one entry of KINDS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

from meshagent.catalog.filters_tree import Operator
from meshagent.catalog.model import MeshGateway, TransparentProxy

__all__ = ["KINDS", "Each", "FieldType", "Kind", "Scalar", "Struct", "Table"]

_EQUALITY = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
_INSIDE = frozenset({Operator.IN, Operator.NOT_IN})
_EMPTINESS = frozenset({Operator.IS_EMPTY, Operator.IS_NOT_EMPTY})
_MATCHES = frozenset({Operator.MATCHES, Operator.NOT_MATCHES})


@dataclass(frozen=True, slots=True)
class Scalar:
    """`kind` is string, bool, int or uint; the word decides how the text of a value is read."""

    kind: str

    @property
    def operators(self) -> frozenset[Operator]:
        return _EQUALITY | _INSIDE | _MATCHES if self.kind == "string" else _EQUALITY


@dataclass(frozen=True, slots=True)
class Struct:
    """Named fields: name -> (how to get it from the row, its type). Has no operators of its own."""

    fields: Mapping[str, tuple[Callable[[Any], Any], FieldType]]

    @property
    def operators(self) -> frozenset[Operator]:
        return frozenset()


@dataclass(frozen=True, slots=True)
class Each:
    """A list; a selector that goes on inside is true when it is for any element."""

    of: Scalar | Struct

    @property
    def operators(self) -> frozenset[Operator]:
        return _INSIDE | _EMPTINESS if isinstance(self.of, Scalar) else _EMPTINESS


@dataclass(frozen=True, slots=True)
class Table:
    """A map from strings; any name selects inside. A missing key equals nothing."""

    of: FieldType

    @property
    def operators(self) -> frozenset[Operator]:
        return _INSIDE | _EMPTINESS


FieldType = Scalar | Struct | Each | Table

STRING, BOOL, INT, UINT = Scalar("string"), Scalar("bool"), Scalar("int"), Scalar("uint")
STRINGS, META = Each(STRING), Table(STRING)


def _struct(**fields: tuple[str | Callable[[Any], Any], FieldType]) -> Struct:
    return Struct({n: (attrgetter(get) if isinstance(get, str) else get, of) for n, (get, of) in fields.items()})


def _json(**fields: FieldType) -> Struct:
    """Rows that are JSON objects under the same names."""
    return Struct({name: (_item(name, of), of) for name, of in fields.items()})


def _item(name: str, of: FieldType) -> Callable[[Any], Any]:
    empty: Any = {"string": "", "bool": False}.get(of.kind, 0) if isinstance(of, Scalar) else {}
    get = itemgetter(name)
    return lambda row: get(row) if name in row else empty


def _of_entity(name: str, of: FieldType) -> Callable[[Any], Any]:
    """A field of the principal of an AWS login."""
    get = _item(name, of)
    return lambda claims: get(claims.entity)


_WEIGHTS = _struct(Passing=("passing", INT), Warning=("warning", INT))
_ADDRESSES = Table(_struct(Address=("address", STRING), Port=("port", INT)))
_CONNECT = _struct(Native=("native", BOOL))
_GATEWAY = _struct(Mode=(lambda row: (row or MeshGateway()).mode, STRING))
_NO_TPROXY = TransparentProxy()
_TPROXY = _struct(
    OutboundListenerPort=(lambda row: (row or _NO_TPROXY).outbound_listener_port, INT),
    DialedDirectly=(lambda row: (row or _NO_TPROXY).dialed_directly, BOOL),
)
_UPSTREAM = _struct(
    DestinationType=("destination_type", STRING),
    DestinationNamespace=("destination_namespace", STRING),
    DestinationPartition=("destination_partition", STRING),
    DestinationPeer=("destination_peer", STRING),
    DestinationName=("destination_name", STRING),
    Datacenter=("datacenter", STRING),
    LocalBindAddress=("local_bind_address", STRING),
    LocalBindPort=("local_bind_port", INT),
    LocalBindSocketPath=("local_bind_socket_path", STRING),
    LocalBindSocketMode=("local_bind_socket_mode", STRING),
    MeshGateway=("mesh_gateway", _GATEWAY),
    CentrallyConfigured=("centrally_configured", BOOL),
)
_EXPOSE = _struct(
    Checks=("checks", BOOL),
    Paths=(
        "paths",
        Each(
            _struct(
                ListenerPort=("listener_port", INT),
                Path=("path", STRING),
                LocalPathPort=("local_path_port", INT),
                Protocol=("protocol", STRING),
                ParsedFromCheck=("parsed_from_check", BOOL),
            )
        ),
    ),
)
_PROXY = _struct(
    DestinationServiceName=("destination_service_name", STRING),
    DestinationServiceID=("destination_service_id", STRING),
    LocalServiceAddress=("local_service_address", STRING),
    LocalServicePort=("local_service_port", INT),
    LocalServiceSocketPath=("local_service_socket_path", STRING),
    Mode=("mode", STRING),
    TransparentProxy=("transparent_proxy", _TPROXY),
    MeshGateway=("mesh_gateway", _GATEWAY),
    Expose=("expose", _EXPOSE),
    Upstreams=("upstreams", Each(_UPSTREAM)),
)

#: catalog.model.Node (surface row F10).
_NODE = _struct(
    ID=("id", STRING),
    Node=("name", STRING),
    Address=("address", STRING),
    Datacenter=("datacenter", STRING),
    TaggedAddresses=("tagged_addresses", META),
    Meta=("meta", META),
    PeerName=("peer_name", STRING),
)

#: catalog.model.Service: services of a node or of the agent, and inside a health answer (rows F8, F10).
_SERVICE = _struct(
    Kind=("kind", STRING),
    ID=("id", STRING),
    Service=("name", STRING),
    Tags=("tags", STRINGS),
    Address=("address", STRING),
    TaggedAddresses=("tagged_addresses", _ADDRESSES),
    Meta=("meta", META),
    Port=("port", INT),
    SocketPath=("socket_path", STRING),
    Weights=("weights", _WEIGHTS),
    EnableTagOverride=("enable_tag_override", BOOL),
    Proxy=("proxy", _PROXY),
    Connect=("connect", _CONNECT),
    PeerName=("peer_name", STRING),
)

#: catalog.model.Check (row F9). The definition cannot be selected in Consul.
_CHECK = _struct(
    Node=("node", STRING),
    CheckID=("check_id", STRING),
    Name=("name", STRING),
    Status=("status", STRING),
    Notes=("notes", STRING),
    Output=("output", STRING),
    ServiceID=("service_id", STRING),
    ServiceName=("service_name", STRING),
    ServiceTags=("service_tags", STRINGS),
    Type=("type", STRING),
    Interval=("interval", STRING),
    Timeout=("timeout", STRING),
    ExposedPort=("exposed_port", INT),
    PeerName=("peer_name", STRING),
)

#: catalog.model.ServiceEntry as `catalog/service` shows it (row F7).
_CATALOG_SERVICE = _struct(
    ID=("node.id", STRING),
    Node=("node.name", STRING),
    Address=("node.address", STRING),
    Datacenter=("node.datacenter", STRING),
    TaggedAddresses=("node.tagged_addresses", META),
    NodeMeta=("node.meta", META),
    ServiceKind=("service.kind", STRING),
    ServiceID=("service.id", STRING),
    ServiceName=("service.name", STRING),
    ServiceTags=("service.tags", STRINGS),
    ServiceAddress=("service.address", STRING),
    ServiceTaggedAddresses=("service.tagged_addresses", _ADDRESSES),
    ServiceWeights=("service.weights", _WEIGHTS),
    ServiceMeta=("service.meta", META),
    ServicePort=("service.port", INT),
    ServiceSocketPath=("service.socket_path", STRING),
    ServiceEnableTagOverride=("service.enable_tag_override", BOOL),
    ServiceProxy=("service.proxy", _PROXY),
    ServiceConnect=("service.connect", _CONNECT),
    PeerName=("service.peer_name", STRING),
)

#: catalog.model.ServiceEntry as `health/service` shows it (row F8).
_SERVICE_ENTRY = _struct(Node=("node", _NODE), Service=("service", _SERVICE), Checks=("checks", Each(_CHECK)))

#: catalog.overviews.NodeDump: a node with all that is on it.
_NODE_DUMP = _struct(
    ID=("id", STRING),
    Node=("node", STRING),
    Address=("address", STRING),
    TaggedAddresses=("tagged_addresses", META),
    Meta=("meta", META),
    PeerName=("peer_name", STRING),
    Services=("services", Each(_SERVICE)),
    Checks=("checks", Each(_CHECK)),
)

#: JSON objects of `agent/members`.
_MEMBER = _json(
    Name=STRING,
    Addr=STRING,
    Port=UINT,
    Tags=META,
    Status=INT,
    ProtocolMin=UINT,
    ProtocolMax=UINT,
    ProtocolCur=UINT,
    DelegateMin=UINT,
    DelegateMax=UINT,
    DelegateCur=UINT,
)

#: JSON objects of `connect/intentions` (row F10).
_INTENTION = _json(
    ID=STRING,
    Description=STRING,
    SourcePeer=STRING,
    SourcePartition=STRING,
    SourceNS=STRING,
    SourceName=STRING,
    SourceType=STRING,
    DestinationPartition=STRING,
    DestinationNS=STRING,
    DestinationName=STRING,
    Action=STRING,
    Precedence=INT,
    Meta=META,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of row. With `late` a wrong selector is noticed only when there is a row to look at, as in Consul."""

    fields: Struct
    late: bool = False


KINDS: dict[str, Kind] = {
    "catalog_service": Kind(_CATALOG_SERVICE),
    "service_entry": Kind(_SERVICE_ENTRY),
    "check": Kind(_CHECK),
    "node": Kind(_NODE),
    "node_dump": Kind(_NODE_DUMP),
    "agent_service": Kind(_SERVICE),
    "agent_check": Kind(_CHECK, late=True),
    "member": Kind(_MEMBER),
    "intention": Kind(_INTENTION),
    "claims": Kind(_json(value=META, list=Table(Each(STRING)))),
    "config_entry": Kind(_json(Kind=STRING, Name=STRING, Namespace=STRING, Partition=STRING, Meta=META)),
    "acl_claims": Kind(_struct(value=("value", META), list=("list", Table(STRINGS)))),
    "acl_entity": Kind(
        _struct(
            entity_name=(_of_entity("entity_name", STRING), STRING),
            entity_id=(_of_entity("entity_id", STRING), STRING),
            account_id=(_of_entity("account_id", STRING), STRING),
            entity_path=(_of_entity("entity_path", STRING), STRING),
            entity_tags=(_of_entity("entity_tags", META), META),
        )
    ),
    "acl_serviceaccount": Kind(
        _struct(serviceaccount=("serviceaccount", _json(namespace=STRING, name=STRING, uid=STRING)))
    ),
    "exported_service": Kind(_json(Service=STRING, Namespace=STRING, Partition=STRING), late=True),
}
