"""The messages of the services for dataplanes, as tables. Pure.

Source: surface rows X30-X34; the Go module github.com/hashicorp/consul/proto-public 0.8.1 (MPL-2.0): dataplane.proto,
serverdiscovery.proto, acl.proto, ca.proto, dns.proto. Numbers are theirs and may only grow. `tests/interop` reads the
same bytes with Google's library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from meshagent.agent.dataplane.json_struct import STRUCT
from meshagent.agent.grpc.protobuf import BOOL, BYTES, INT, MANY, MAP, TEXT, UINT, Field, Schema, nested

__all__ = [
    "BOOTSTRAP_PARAMS",
    "BOOTSTRAP_PARAMS_REQUEST",
    "FEATURE",
    "FEATURES",
    "LOGIN_REQUEST",
    "LOGIN_RESPONSE",
    "LOGIN_TOKEN",
    "LOGOUT_REQUEST",
    "NOTHING",
    "QUERY",
    "REPLY",
    "ROOT",
    "ROOTS",
    "SERVER",
    "SERVERS",
    "SIGN_REQUEST",
    "SIGN_RESPONSE",
    "TIMESTAMP",
    "WATCH_SERVERS",
    "BootstrapParams",
    "BootstrapParamsRequest",
    "Feature",
    "Features",
    "LoginRequest",
    "LoginResponse",
    "LoginToken",
    "LogoutRequest",
    "Nothing",
    "Query",
    "Reply",
    "Root",
    "Roots",
    "Server",
    "Servers",
    "SignRequest",
    "SignResponse",
    "WatchServers",
    "timestamp_of",
]

# --- hashicorp.consul.dataplane ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature by its number: 1 servers can be watched, 2 certificates for the edge, 3 parameters for a bootstrap, 4
    FIPS."""

    feature_name: int = 0
    supported: bool = False


@dataclass(frozen=True, slots=True)
class Features:
    """All of them."""

    supported_dataplane_features: tuple[Feature, ...] = ()


FEATURE = Schema(Feature, (Field(1, "feature_name", INT), Field(2, "supported", BOOL)))
FEATURES = Schema(Features, (Field(1, "supported_dataplane_features", nested(FEATURE), MANY),))


@dataclass(frozen=True, slots=True)
class BootstrapParamsRequest:
    """Which proxy: its node by id or by name, and its id. `service_id` is the older name of `proxy_id`."""

    node_id: str = ""
    node_name: str = ""
    service_id: str = ""
    proxy_id: str = ""
    partition: str = ""
    namespace: str = ""


BOOTSTRAP_PARAMS_REQUEST = Schema(
    BootstrapParamsRequest,
    (
        Field(1, "node_id", TEXT),
        Field(2, "node_name", TEXT),
        Field(3, "service_id", TEXT),
        Field(4, "partition", TEXT),
        Field(5, "namespace", TEXT),
        Field(6, "proxy_id", TEXT),
    ),
)


@dataclass(frozen=True, slots=True)
class BootstrapParams:
    """What an Envoy is started with. `access_logs` are JSON texts of Envoy's `AccessLog`."""

    service: str = ""
    namespace: str = ""
    partition: str = ""
    datacenter: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    node_name: str = ""
    access_logs: tuple[str, ...] = ()
    identity: str = ""


BOOTSTRAP_PARAMS = Schema(
    BootstrapParams,
    (
        Field(2, "service", TEXT),
        Field(3, "namespace", TEXT),
        Field(4, "partition", TEXT),
        Field(5, "datacenter", TEXT),
        Field(6, "config", STRUCT),
        Field(8, "node_name", TEXT),
        Field(9, "access_logs", TEXT, MANY),
        Field(10, "identity", TEXT),
    ),
)

# --- hashicorp.consul.serverdiscovery ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WatchServers:
    """Which addresses: those of the datacenter, or `wan`."""

    wan: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """A server: the id of its node, its address without a port, its version."""

    id: str = ""
    address: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Servers:
    """All servers of now."""

    servers: tuple[Server, ...] = ()


WATCH_SERVERS = Schema(WatchServers, (Field(1, "wan", BOOL),))
SERVER = Schema(Server, (Field(1, "id", TEXT), Field(2, "address", TEXT), Field(3, "version", TEXT)))
SERVERS = Schema(Servers, (Field(1, "servers", nested(SERVER), MANY),))

# --- hashicorp.consul.acl ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A credential for an auth method. It is not shown."""

    auth_method: str = ""
    bearer_token: str = field(default="", repr=False)
    meta: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    partition: str = ""
    datacenter: str = ""


LOGIN_REQUEST = Schema(
    LoginRequest,
    (
        Field(1, "auth_method", TEXT),
        Field(2, "bearer_token", TEXT),
        Field(3, "meta", TEXT, MAP),
        Field(4, "namespace", TEXT),
        Field(5, "partition", TEXT),
        Field(6, "datacenter", TEXT),
    ),
)


@dataclass(frozen=True, slots=True)
class LoginToken:
    """The token of a login."""

    accessor_id: str = ""
    secret_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class LoginResponse:
    """What a login brings."""

    token: LoginToken | None = None


LOGIN_TOKEN = Schema(LoginToken, (Field(1, "accessor_id", TEXT), Field(2, "secret_id", TEXT)))
LOGIN_RESPONSE = Schema(LoginResponse, (Field(1, "token", nested(LOGIN_TOKEN)),))


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """The secret of the token that is to end."""

    token: str = field(default="", repr=False)
    datacenter: str = ""


LOGOUT_REQUEST = Schema(LogoutRequest, (Field(1, "token", TEXT), Field(2, "datacenter", TEXT)))

# --- hashicorp.consul.connectca ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Nothing:
    """A message without fields."""


NOTHING: Schema[Nothing] = Schema(Nothing, ())


@dataclass(frozen=True, slots=True)
class _Timestamp:
    seconds: int = 0
    nanos: int = 0


def timestamp_of(text: str) -> _Timestamp | None:
    """A `google.protobuf.Timestamp` of an RFC 3339 time; None of ""."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return _Timestamp(int(moment.timestamp()), moment.microsecond * 1000)


@dataclass(frozen=True, slots=True)
class Root:
    """A root certificate; certificates are PEM."""

    id: str = ""
    name: str = ""
    serial_number: int = 0
    signing_key_id: str = ""
    root_cert: str = ""
    intermediate_certs: tuple[str, ...] = ()
    active: bool = False
    rotated_out_at: Any = None


@dataclass(frozen=True, slots=True)
class Roots:
    """All roots that are trusted."""

    active_root_id: str = ""
    trust_domain: str = ""
    roots: tuple[Root, ...] = ()


#: A `google.protobuf.Timestamp`.
TIMESTAMP = nested(Schema(_Timestamp, (Field(1, "seconds", UINT), Field(2, "nanos", INT))))
ROOT = Schema(
    Root,
    (
        Field(1, "id", TEXT),
        Field(2, "name", TEXT),
        Field(3, "serial_number", UINT),
        Field(4, "signing_key_id", TEXT),
        Field(5, "root_cert", TEXT),
        Field(6, "intermediate_certs", TEXT, MANY),
        Field(7, "active", BOOL),
        Field(8, "rotated_out_at", TIMESTAMP),
    ),
)
ROOTS = Schema(
    Roots, (Field(1, "active_root_id", TEXT), Field(2, "trust_domain", TEXT), Field(3, "roots", nested(ROOT), MANY))
)


@dataclass(frozen=True, slots=True)
class SignRequest:
    """A certificate request, PEM."""

    csr: str = ""


@dataclass(frozen=True, slots=True)
class SignResponse:
    """The certificate, PEM, with the intermediates behind it."""

    cert_pem: str = ""


SIGN_REQUEST = Schema(SignRequest, (Field(1, "csr", TEXT),))
SIGN_RESPONSE = Schema(SignResponse, (Field(2, "cert_pem", TEXT),))

# --- hashicorp.consul.dns ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """A DNS message as it travels; `protocol` is 1 for TCP and 2 for UDP."""

    msg: bytes = b""
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The DNS message that answers."""

    msg: bytes = b""


QUERY = Schema(Query, (Field(1, "msg", BYTES), Field(2, "protocol", INT)))
REPLY = Schema(Reply, (Field(1, "msg", BYTES),))
