"""Peering tokens: what one cluster gives another so that it can be reached, recognised and trusted once.

    eyJDQSI6...  =  base64 of {"CA": [PEM], "ManualServerAddresses": null, "ServerAddresses": ["10.0.0.1:8503"],
                    "ServerName": "server.dc1.peering.<trust domain>", "PeerID": uuid, "EstablishmentSecret": uuid,
                    "Remote": {"Partition": "", "Datacenter": "dc1"}}

Source: surface row PE1, and the answers of a running Consul for what cannot be read. A token is a secret: it is never
logged. What may change here: fields that later releases of Consul add are ignored; none is ever renamed.
"""

from __future__ import annotations

import base64

import msgspec

from meshagent.agent.go_base64 import decode_base64
from meshagent.errors import InternalError
from meshagent.gojson import syntax_problem
from meshagent.hostport import split_host_port

__all__ = ["MAX_TOKEN_BYTES", "PeeringToken", "Place", "decode_token", "encode_token"]

#: Some roots and some dozens of addresses; 64 KiB is ten times what a token of many servers has.
MAX_TOKEN_BYTES = 64 * 1024


class Place(msgspec.Struct, frozen=True, rename="pascal"):
    """Where the cluster is that made the token."""

    partition: str = ""
    datacenter: str = ""


class PeeringToken(msgspec.Struct, frozen=True, rename="pascal"):
    """A token, open. `manual_server_addresses` are those an operator named; they win over `server_addresses`."""

    ca: tuple[str, ...] | None = msgspec.field(default=None, name="CA")
    manual_server_addresses: tuple[str, ...] | None = None
    server_addresses: tuple[str, ...] | None = None
    server_name: str = ""
    peer_id: str = msgspec.field(default="", name="PeerID")
    establishment_secret: str = ""
    remote: Place = Place()

    def __repr__(self) -> str:
        return f"PeeringToken(peer_id={self.peer_id!r}, server_name={self.server_name!r})"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where to go."""
        return self.manual_server_addresses or self.server_addresses or ()


_decoder = msgspec.json.Decoder(PeeringToken)


def encode_token(token: PeeringToken) -> str:
    """The text to hand over."""
    return base64.b64encode(msgspec.json.encode(token)).decode("ascii")


def decode_token(text: str) -> PeeringToken:
    """The token in a text.

    Raises:
        InternalError: it is not one, in Consul's words.
    """
    if len(text) > MAX_TOKEN_BYTES:
        raise InternalError(f"failed to decode token: longer than {MAX_TOKEN_BYTES} bytes")
    try:
        raw = decode_base64(text)
    except ValueError as error:
        raise InternalError(f"failed to decode token: {error}") from None
    try:
        token = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise InternalError(f"failed to decode token: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InternalError(syntax_problem(raw) or "failed to decode token: not UTF-8") from None
    if not token.addresses:
        raise InternalError("peering token server addresses value is empty")
    for address in token.addresses:
        host, port = split_host_port(address, 0)
        if not host or not 0 < port < 65536:
            raise InternalError(f'peering token server address "{address}" is not host:port')
    for pem in token.ca or ():
        if "-----BEGIN CERTIFICATE-----" not in pem:
            raise InternalError("peering token CA value is not a PEM certificate")
    if token.ca and not token.server_name:
        raise InternalError("peering token server name value is empty")
    if not token.peer_id:
        raise InternalError("peering token peer ID value is empty")
    return token
