"""What a client without a certificate and a server say to each other: methods and their payloads.

Source: ours, with the contents of Consul's `AutoEncrypt.Sign` and `AutoConfig.InitialConfiguration` (surface row
G16). Payloads are msgpack arrays. What may be changed: names of methods and layouts are on the wire: append-only,
fields with a default. Limits may grow.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from meshagent.connect.ca import SignedLeaf
from meshagent.errors import RemoteProtocolError

__all__ = ["CONFIGURE", "SIGN", "ConfigRequest", "Configuration", "Issued", "SignRequest", "decode", "encode"]

#: Methods, since 0.2.
SIGN = "auto-encrypt-sign"
CONFIGURE = "auto-config"

#: A request for a certificate, and an answer with some roots and a configuration, are a few KiB.
MAX_BYTES = 1 << 20
MAX_NAME_CHARS = 255

T = TypeVar("T")


class SignRequest(msgspec.Struct, frozen=True, array_like=True):
    """Sign `request` (PEM) for the agent `node`; `token` is an ACL token, `introduction` a JWT."""

    node: str
    request: bytes
    token: str = ""
    introduction: str = ""


class Issued(msgspec.Struct, frozen=True, array_like=True):
    """A certificate, and how servers are known: by which authorities (PEM), and whether by their name."""

    leaf: SignedLeaf
    authorities: tuple[str, ...] = ()
    verify_server_hostname: bool = False


class ConfigRequest(msgspec.Struct, frozen=True, array_like=True):
    """Configure the agent `node`, which is introduced by the JWT `introduction`."""

    node: str
    request: bytes
    introduction: str
    segment: str = ""
    partition: str = ""


class Configuration(msgspec.Struct, frozen=True, array_like=True):
    """A certificate, and options by their keys, as in a configuration file."""

    issued: Issued
    options: dict[str, Any]


def encode(message: SignRequest | Issued | ConfigRequest | Configuration) -> bytes:
    """The bytes of a message."""
    return msgspec.msgpack.encode(message)


def decode(payload: bytes, type_: type[T]) -> T:
    """The message.

    Raises:
        RemoteProtocolError: the bytes are none, or a name is too long.
    """
    if len(payload) > MAX_BYTES:
        raise RemoteProtocolError(f"{len(payload)} bytes are too many, at most {MAX_BYTES}")
    try:
        message = msgspec.msgpack.decode(payload, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"no {type_.__name__}: {error}") from error
    node = getattr(message, "node", "-")
    if not node or len(node) > MAX_NAME_CHARS:
        raise RemoteProtocolError(f"no {type_.__name__}: the node's name is empty or too long")
    return message
