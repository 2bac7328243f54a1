"""The services for dataplanes, a row each.

Source: surface rows X30-X34. Servers have them, client agents do not. What may change here: a method is a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshagent.agent.dataplane import bootstrap, certificates, discovery, login, names
from meshagent.agent.dataplane import messages as m
from meshagent.agent.dataplane.json_struct import STRUCT
from meshagent.agent.dataplane.messages import TIMESTAMP
from meshagent.agent.grpc.methods import STREAM, UNARY, Method, Service
from meshagent.agent.grpc.protobuf import Schema

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["SERVICES"]

#: A DNS message over TCP has up to 64 KiB.
_DNS_BYTES = 66 * 1024


def _files(
    path: str, service: str, rpcs: tuple[tuple[str, str, str], ...], messages: dict[str, Schema[Any]]
) -> Callable[[], dict[str, bytes]]:
    """What reflection tells of a service. `rpcs` are (method, request, response); one that streams ends in "*"."""

    def files() -> dict[str, bytes]:
        from google.protobuf import struct_pb2, timestamp_pb2

        from meshagent.agent.grpc.descriptors import Rpc, described

        kinds = {field.kind for schema in messages.values() for field in schema.fields}
        imports = {STRUCT: struct_pb2.Struct, TIMESTAMP: timestamp_pb2.Timestamp}
        listed = tuple(
            Rpc(name.rstrip("*"), asked, answered, answers=name.endswith("*")) for name, asked, answered in rpcs
        )
        used = {kind: message for kind, message in imports.items() if kind in kinds}
        return described(f"hashicorp/consul/{path}.proto", f"hashicorp.consul.{service}", listed, messages, (), used)

    return files


def _on_servers(agent: Agent) -> bool:
    return agent.upstream is None


SERVICES = (
    Service(
        "hashicorp.consul.dataplane.DataplaneService",
        (
            Method("GetSupportedDataplaneFeatures", UNARY, bootstrap.features),
            Method("GetEnvoyBootstrapParams", UNARY, bootstrap.bootstrap_params),
        ),
        present=_on_servers,
        files=_files(
            "dataplane/dataplane",
            "dataplane.DataplaneService",
            (
                (
                    "GetSupportedDataplaneFeatures",
                    "GetSupportedDataplaneFeaturesRequest",
                    "GetSupportedDataplaneFeaturesResponse",
                ),
                ("GetEnvoyBootstrapParams", "GetEnvoyBootstrapParamsRequest", "GetEnvoyBootstrapParamsResponse"),
            ),
            {
                "GetSupportedDataplaneFeaturesRequest": m.NOTHING,
                "DataplaneFeatureSupport": m.FEATURE,
                "GetSupportedDataplaneFeaturesResponse": m.FEATURES,
                "GetEnvoyBootstrapParamsRequest": m.BOOTSTRAP_PARAMS_REQUEST,
                "GetEnvoyBootstrapParamsResponse": m.BOOTSTRAP_PARAMS,
            },
        ),
    ),
    Service(
        "hashicorp.consul.serverdiscovery.ServerDiscoveryService",
        (Method("WatchServers", STREAM, discovery.watch_servers),),
        present=_on_servers,
        files=_files(
            "serverdiscovery/serverdiscovery",
            "serverdiscovery.ServerDiscoveryService",
            (("WatchServers*", "WatchServersRequest", "WatchServersResponse"),),
            {"WatchServersRequest": m.WATCH_SERVERS, "Server": m.SERVER, "WatchServersResponse": m.SERVERS},
        ),
    ),
    Service(
        "hashicorp.consul.acl.ACLService",
        (Method("Login", UNARY, login.log_in), Method("Logout", UNARY, login.log_out)),
        present=_on_servers,
        files=_files(
            "acl/acl",
            "acl.ACLService",
            (("Login", "LoginRequest", "LoginResponse"), ("Logout", "LogoutRequest", "LogoutResponse")),
            {
                "LoginRequest": m.LOGIN_REQUEST,
                "LoginToken": m.LOGIN_TOKEN,
                "LoginResponse": m.LOGIN_RESPONSE,
                "LogoutRequest": m.LOGOUT_REQUEST,
                "LogoutResponse": m.NOTHING,
            },
        ),
    ),
    Service(
        "hashicorp.consul.connectca.ConnectCAService",
        (Method("WatchRoots", STREAM, certificates.watch_roots), Method("Sign", UNARY, certificates.sign)),
        present=_on_servers,
        files=_files(
            "connectca/ca",
            "connectca.ConnectCAService",
            (("WatchRoots*", "WatchRootsRequest", "WatchRootsResponse"), ("Sign", "SignRequest", "SignResponse")),
            {
                "WatchRootsRequest": m.NOTHING,
                "CARoot": m.ROOT,
                "WatchRootsResponse": m.ROOTS,
                "SignRequest": m.SIGN_REQUEST,
                "SignResponse": m.SIGN_RESPONSE,
            },
        ),
    ),
    Service(
        "hashicorp.consul.dns.DNSService",
        (Method("Query", UNARY, names.query, max_message=_DNS_BYTES),),
        present=_on_servers,
        files=_files(
            "dns/dns",
            "dns.DNSService",
            (("Query", "QueryRequest", "QueryResponse"),),
            {"QueryRequest": m.QUERY, "QueryResponse": m.REPLY},
        ),
    ),
)
