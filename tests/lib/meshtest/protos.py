"""The messages of Consul's services for dataplanes, for Google's library: written by hand from the .proto files, apart
from the tables of the product.

Source: github.com/hashicorp/consul/proto-public 0.8.1 (MPL-2.0), field numbers only.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2, timestamp_pb2

_TYPES = {"text": 9, "bytes": 12, "bool": 8, "int32": 5, "uint64": 4, "enum": 5}

#: Package: message: (number, name, type); `*` before a type is "repeated", `map` is from texts to texts.
_PACKAGES: dict[str, dict[str, tuple[tuple[int, str, str], ...]]] = {
    "hashicorp.consul.dataplane": {
        "GetSupportedDataplaneFeaturesRequest": (),
        "DataplaneFeatureSupport": ((1, "feature_name", "enum"), (2, "supported", "bool")),
        "GetSupportedDataplaneFeaturesResponse": ((1, "supported_dataplane_features", "*DataplaneFeatureSupport"),),
        "GetEnvoyBootstrapParamsRequest": (
            (1, "node_id", "text"), (2, "node_name", "text"), (3, "service_id", "text"), (4, "partition", "text"),
            (5, "namespace", "text"), (6, "proxy_id", "text"),
        ),
        "GetEnvoyBootstrapParamsResponse": (
            (2, "service", "text"), (3, "namespace", "text"), (4, "partition", "text"), (5, "datacenter", "text"),
            (6, "config", ".google.protobuf.Struct"), (8, "node_name", "text"), (9, "access_logs", "*text"),
            (10, "identity", "text"),
        ),
    },
    "hashicorp.consul.serverdiscovery": {
        "WatchServersRequest": ((1, "wan", "bool"),),
        "Server": ((1, "id", "text"), (2, "address", "text"), (3, "version", "text")),
        "WatchServersResponse": ((1, "servers", "*Server"),),
    },
    "hashicorp.consul.acl": {
        "LoginRequest": (
            (1, "auth_method", "text"), (2, "bearer_token", "text"), (3, "meta", "map"), (4, "namespace", "text"),
            (5, "partition", "text"), (6, "datacenter", "text"),
        ),
        "LoginToken": ((1, "accessor_id", "text"), (2, "secret_id", "text")),
        "LoginResponse": ((1, "token", "LoginToken"),),
        "LogoutRequest": ((1, "token", "text"), (2, "datacenter", "text")),
        "LogoutResponse": (),
    },
    "hashicorp.consul.connectca": {
        "WatchRootsRequest": (),
        "CARoot": (
            (1, "id", "text"), (2, "name", "text"), (3, "serial_number", "uint64"), (4, "signing_key_id", "text"),
            (5, "root_cert", "text"), (6, "intermediate_certs", "*text"), (7, "active", "bool"),
            (8, "rotated_out_at", ".google.protobuf.Timestamp"),
        ),
        "WatchRootsResponse": (
            (1, "active_root_id", "text"), (2, "trust_domain", "text"), (3, "roots", "*CARoot"),
        ),
        "SignRequest": ((1, "csr", "text"),),
        "SignResponse": ((2, "cert_pem", "text"),),
    },
    "hashicorp.consul.dns": {
        "QueryRequest": ((1, "msg", "bytes"), (2, "protocol", "enum")),
        "QueryResponse": ((1, "msg", "bytes"),),
    },
}  # fmt: skip

METHODS = {
    "GetSupportedDataplaneFeatures": ("hashicorp.consul.dataplane", "DataplaneService", False),
    "GetEnvoyBootstrapParams": ("hashicorp.consul.dataplane", "DataplaneService", False),
    "WatchServers": ("hashicorp.consul.serverdiscovery", "ServerDiscoveryService", True),
    "Login": ("hashicorp.consul.acl", "ACLService", False),
    "Logout": ("hashicorp.consul.acl", "ACLService", False),
    "WatchRoots": ("hashicorp.consul.connectca", "ConnectCAService", True),
    "Sign": ("hashicorp.consul.connectca", "ConnectCAService", False),
    "Query": ("hashicorp.consul.dns", "DNSService", False),
}


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for module in (struct_pb2, timestamp_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for package, messages in _PACKAGES.items():
        file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
        file.dependency.extend([struct_pb2.DESCRIPTOR.name, timestamp_pb2.DESCRIPTOR.name])
        for name, fields in messages.items():
            message = file.message_type.add(name=name)
            for number, field, kind in fields:
                _add(message, f".{package}.{name}", package, number, field, kind)
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _add(message: Any, path: str, package: str, number: int, field: str, kind: str) -> None:
    repeated, kind = kind.startswith("*") or kind == "map", kind.lstrip("*")
    added = message.field.add(name=field, number=number, label=3 if repeated else 1)
    if kind == "map":
        entry = message.nested_type.add(name=f"{field.title()}Entry")
        entry.field.add(name="key", number=1, type=9, label=1)
        entry.field.add(name="value", number=2, type=9, label=1)
        entry.options.map_entry = True
        added.type, added.type_name = 11, f"{path}.{field.title()}Entry"
    elif kind in _TYPES:
        added.type = _TYPES[kind]
    else:
        added.type, added.type_name = 11, kind if kind.startswith(".") else f".{package}.{kind}"


_POOL = _pool()


def message(name: str) -> Any:
    """The class of a message by its name."""
    package = next(package for package, messages in _PACKAGES.items() if name in messages)
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{package}.{name}"))


def asked(method: str) -> Any:
    """The class of what a method is called with."""
    return message({"Query": "QueryRequest"}.get(method, f"{method}Request"))


def answered(method: str) -> Any:
    """The class of what it answers."""
    return message({"Query": "QueryResponse"}.get(method, f"{method}Response"))
