"""I/O edge: where an Envoy finds its agent, and by which authority it knows it: flags, environment, `agent/self`.

Envoy looks up no names in a bootstrap, so they are looked up here.

Source: surface row CL19; developer.hashicorp.com/consul/commands (CONSUL_GRPC_ADDR, CONSUL_GRPC_CACERT). What may
change here: nothing that a script reads.
"""

from __future__ import annotations

import socket
from pathlib import Path

from meshagent.agent.cli.client import ApiError, Client
from meshagent.connect.envoy.bootstrap import GrpcPlace, split_bind
from meshagent.errors import BadRequest, MeshError

__all__ = ["authorities", "grpc_place", "resolved"]

#: Where an agent of `-dev` serves xDS.
_USUAL_PORT = 8502


def grpc_place(client: Client, given: str, *, has_authority: bool) -> tuple[GrpcPlace, list[str]]:
    """Where xDS is served, and what is to be told on the way. `given` is an address or "".

    Over a socket it is TLS when an authority was named, else by the address: `https://`. Without an address it is what
    the agent says of itself: TLS when an authority was named, or where there is nothing else.

    Raises:
        MeshError: it cannot be told; the message says why.
    """
    told: list[str] = []
    if not given:
        given, told = _asked(client, has_authority)
    if given.startswith("unix://"):
        return GrpcPlace(socket=given.removeprefix("unix://"), tls=has_authority), told
    tls = given.lower().startswith("https://")
    address = given[len("https://") :] if tls else given[len("http://") :] if given.lower()[:7] == "http://" else given
    try:
        host, port = split_bind("-grpc-addr", address.rstrip("/"))
    except BadRequest as error:
        raise MeshError(f"Invalid Consul HTTP address: {error}") from None
    return GrpcPlace(resolved(host or "localhost", "agent address"), port, tls=tls), told


def _asked(client: Client, has_authority: bool) -> tuple[str, list[str]]:
    """What the agent says of itself."""
    told = []
    plaintext = tls = 0
    try:
        ports = client.get("agent/self").get("xDS", {}).get("Ports", {})
        plaintext, tls = ports.get("Plaintext", 0), ports.get("TLS", 0)
        if plaintext < 0 and tls < 0:
            raise MeshError("Error looking up xDS port: agent has grpc disabled")
    except ApiError as error:
        if error.status != 403:
            raise MeshError(f"Error looking up xDS port: {error}") from None
        told.append(f"Could not query /v1/agent/self for xDS ports: {error}")
    if tls > 0 and (has_authority or plaintext <= 0):
        return f"https://localhost:{tls}", told
    if plaintext <= 0:
        told.append(
            "-grpc-addr not provided and unable to discover a gRPC address for xDS. Defaulting to localhost:8502"
        )
    return f"http://localhost:{plaintext if plaintext > 0 else _USUAL_PORT}", told


def resolved(host: str, what: str) -> str:
    """The IP address of a host, that of version 4 where there is one. Raises MeshError."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MeshError(f"Failed to resolve {what}: lookup {host}: {reason}") from None
    found.sort(key=lambda one: one[0] != socket.AF_INET)
    return str(found[0][4][0])


def authorities(file: str, folder: str, flag: str) -> str:
    """The certificates of a file, or of all files of a folder, as one text. Raises MeshError, naming `flag`."""
    if file:
        paths = [Path(file)]
    elif folder:
        try:
            paths = sorted(path for path in Path(folder).iterdir() if path.is_file())
        except OSError as error:
            raise MeshError(f"{flag}-path: cannot read {folder}: {error.strerror}") from None
    else:
        return ""
    texts = []
    for path in paths:
        try:
            texts.append(path.read_text(encoding="ascii"))
        except OSError as error:
            raise MeshError(f"{flag}-{'file' if file else 'path'}: cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise MeshError(f"{flag}-{'file' if file else 'path'}: {path} has no certificates in PEM") from None
    whole = "".join(text if text.endswith("\n") else f"{text}\n" for text in texts)
    if "-----BEGIN CERTIFICATE-----" not in whole:
        raise MeshError(f"{flag}-{'file' if file else 'path'}: {file or folder} has no certificates in PEM")
    return whole
