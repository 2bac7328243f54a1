"""All kinds of config entries: the table, and the way from JSON-like values to a checked entry.

Adding a kind: a module with its struct, a row in CONFIG_ENTRIES, its type in `ConfigEntry` (stored kinds), a test file.

Source: surface rows CF1-CF4, M20. What may change here: rows are added; `acl` words as surface row M20 has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from meshagent.catalog.entries.api_gateway import APIGateway, BoundAPIGateway, Status
from meshagent.catalog.entries.certificates import FileSystemCertificate, InlineCertificate
from meshagent.catalog.entries.decoding import PREFIX, decode
from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.exported_services import ExportedServices
from meshagent.catalog.entries.gateway_routes import HTTPRoute, TCPRoute
from meshagent.catalog.entries.ingress_gateway import IngressGateway
from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.mesh import Mesh
from meshagent.catalog.entries.proxy_defaults import ProxyDefaults
from meshagent.catalog.entries.sameness_group import SamenessGroup
from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.entries.service_resolver import ServiceResolver
from meshagent.catalog.entries.service_router import ServiceRouter
from meshagent.catalog.entries.service_splitter import ServiceSplitter
from meshagent.catalog.entries.terminating_gateway import TerminatingGateway
from meshagent.errors import BadRequest, Denied, InternalError

__all__ = ["CONFIG_ENTRIES", "ConfigEntry", "EntryKind", "check", "content", "known_kind", "parse"]

#: Every kind that is stored. Lives in logs and snapshots: a kind may be added, not taken away.
ConfigEntry = (
    APIGateway
    | BoundAPIGateway
    | ExportedServices
    | FileSystemCertificate
    | HTTPRoute
    | IngressGateway
    | InlineCertificate
    | JWTProvider
    | Mesh
    | ProxyDefaults
    | ServiceDefaults
    | ServiceIntentions
    | ServiceResolver
    | ServiceRouter
    | ServiceSplitter
    | TCPRoute
    | TerminatingGateway
)


@dataclass(frozen=True, slots=True)
class EntryKind:
    """A kind: `read` and `write` are what a token needs ("" nothing; `service` means on the entry's name)."""

    type: type[Entry]
    read: str
    write: str
    help: str
    example: str
    writable: bool = True

    @property
    def kind(self) -> str:
        """Its name in the API."""
        return str(self.type.__struct_config__.tag)


_ROWS = (
    EntryKind(
        APIGateway, "service:read", "mesh:write", "ports of an API gateway",
        '{"Kind":"api-gateway","Name":"edge","Listeners":[{"Name":"web","Port":8443,"Protocol":"http"}]}',
    ),
    EntryKind(
        BoundAPIGateway, "service:read", "mesh:write", "what is bound to an API gateway (computed)",
        '{"Kind":"bound-api-gateway","Name":"edge"}', writable=False,
    ),
    EntryKind(
        ExportedServices, "mesh:read", "mesh:write", "services that peers may see",
        '{"Kind":"exported-services","Name":"default","Services":[{"Name":"web","Consumers":[{"Peer":"east"}]}]}',
    ),
    EntryKind(
        FileSystemCertificate, "mesh:read", "mesh:write", "a certificate on the gateway's host",
        '{"Kind":"file-system-certificate","Name":"web","Certificate":"/tls/c.pem","PrivateKey":"/tls/k.pem"}',
    ),
    EntryKind(
        HTTPRoute, "mesh:read", "mesh:write", "HTTP routes behind an API gateway",
        '{"Kind":"http-route","Name":"web","Parents":[{"Name":"edge"}],"Rules":[{"Services":[{"Name":"web"}]}]}',
    ),
    EntryKind(
        IngressGateway, "service:read", "mesh:write", "ports of a gateway into the mesh",
        '{"Kind":"ingress-gateway","Name":"in","Listeners":[{"Port":8080,"Protocol":"tcp","Services":[{"Name":"web"}]}]}',
    ),
    EntryKind(
        InlineCertificate, "mesh:read", "mesh:write", "a certificate and its key",
        '{"Kind":"inline-certificate","Name":"web","Certificate":"-----BEGIN ...","PrivateKey":"-----BEGIN ..."}',
    ),
    EntryKind(
        JWTProvider, "mesh:read", "mesh:write", "an issuer of tokens",
        '{"Kind":"jwt-provider","Name":"okta","JSONWebKeySet":{"Remote":{"URI":"https://okta.example/keys"}}}',
    ),
    EntryKind(
        Mesh, "", "mesh:write", "settings of the whole mesh",
        '{"Kind":"mesh","TransparentProxy":{"MeshDestinationsOnly":true}}',
    ),
    EntryKind(
        ProxyDefaults, "", "mesh:write", "settings of every proxy",
        '{"Kind":"proxy-defaults","Name":"global","Config":{"protocol":"http"}}',
    ),
    EntryKind(
        SamenessGroup, "mesh:read", "mesh:write", "Enterprise: refused",
        '{"Kind":"sameness-group","Name":"group"}',
    ),
    EntryKind(
        ServiceDefaults, "service:read", "service:write", "protocol and proxy settings of a service",
        '{"Kind":"service-defaults","Name":"web","Protocol":"http"}',
    ),
    EntryKind(
        ServiceIntentions, "intentions:read", "intentions:write", "who may talk to a service",
        '{"Kind":"service-intentions","Name":"db","Sources":[{"Name":"web","Action":"allow"}]}',
    ),
    EntryKind(
        ServiceResolver, "service:read", "service:write", "subsets, redirect, failover of a service",
        '{"Kind":"service-resolver","Name":"web","Failover":{"*":{"Datacenters":["dc2"]}}}',
    ),
    EntryKind(
        ServiceRouter, "service:read", "service:write", "routes by path, headers, query and method",
        '{"Kind":"service-router","Name":"web","Routes":[{"Match":{"HTTP":{"PathPrefix":"/a"}},'
        '"Destination":{"Service":"a"}}]}',
    ),
    EntryKind(
        ServiceSplitter, "service:read", "service:write", "shares of a service's traffic",
        '{"Kind":"service-splitter","Name":"web","Splits":[{"Weight":90},{"Weight":10,"Service":"next"}]}',
    ),
    EntryKind(
        TCPRoute, "mesh:read", "mesh:write", "a service behind an API gateway's TCP port",
        '{"Kind":"tcp-route","Name":"db","Parents":[{"Name":"edge"}],"Services":[{"Name":"db"}]}',
    ),
    EntryKind(
        TerminatingGateway, "service:read", "mesh:write", "services outside the mesh",
        '{"Kind":"terminating-gateway","Name":"out","Services":[{"Name":"legacy"}]}',
    ),
)  # fmt: skip

CONFIG_ENTRIES: dict[str, EntryKind] = {row.kind: row for row in _ROWS}
if len(CONFIG_ENTRIES) != len(_ROWS):
    raise ValueError("a kind of config entry has two rows")

#: What nobody but the servers fills in: accepted and left out, so that what was read can be written back.
_READ_ONLY = frozenset({"kind", "hash", "createindex", "modifyindex", "status"})


def known_kind(kind: str) -> EntryKind:
    """The row of a kind.

    Raises:
        InternalError: there is none.
    """
    row = CONFIG_ENTRIES.get(kind)
    if row is None:
        raise InternalError(f"invalid config entry kind: {kind}")
    return row


def parse(raw: Any) -> Entry:
    """The entry of a JSON-like value, normalised and not yet checked.

    Raises:
        BadRequest: not an entry, with Consul's words.
        Denied: a kind that only servers write.
    """
    raw = {} if raw is None else raw
    if not isinstance(raw, dict):
        go = "slice" if isinstance(raw, list) else "string" if isinstance(raw, str) else "float64"
        raise BadRequest(f"{PREFIX}'' expected a map, got '{go}'")
    kind = next((raw[key] for key in ("Kind", "kind") if key in raw), None)
    if kind is None:
        raise BadRequest(f"{PREFIX}Payload does not contain a kind/Kind key at the top level")
    if not isinstance(kind, str):
        raise BadRequest(f"{PREFIX}Kind value in payload is not a string")
    row = CONFIG_ENTRIES.get(kind)
    if row is None:
        raise BadRequest(f"{PREFIX}invalid config entry kind: {kind}")
    if not row.writable:
        raise Denied("Permission denied: only writeable by controller")
    if row.type is Mesh:
        for key in raw:
            if key.lower() == "name":
                raise BadRequest(f'{PREFIX}1 error occurred:\n\t* invalid config key "{key}"\n\n')
    ignored = _READ_ONLY if issubclass(row.type, APIGateway | HTTPRoute | TCPRoute) else _READ_ONLY - {"status"}
    return decode(row.type, raw, ignored).normalised()


def check(entry: Entry) -> None:
    """Refuse what is wrong with an entry alone.

    Raises:
        InternalError: with Consul's words.
    """
    problem = entry.problem()
    if problem:
        raise InternalError(problem)


def content(entry: Entry) -> Entry:
    """The entry without what servers add: equal for equal writes."""
    bare = msgspec.structs.replace(entry, hash=0, create_index=0, modify_index=0)
    return msgspec.structs.replace(bare, status=Status()) if hasattr(bare, "status") else bare
