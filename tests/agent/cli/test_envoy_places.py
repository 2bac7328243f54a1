"""Where an Envoy finds its agent: flags, `agent/self`, names, authorities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshagent.agent.cli.client import Client, Endpoint
from meshagent.agent.cli.envoy_places import authorities, grpc_place, resolved
from meshagent.connect.envoy.bootstrap import GrpcPlace
from meshagent.errors import MeshError

PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"


@pytest.fixture
def client(stub: Any) -> Client:
    return Client(Endpoint(stub.address))


@pytest.mark.parametrize(
    ("given", "authority", "place"),
    [
        ("127.0.0.1:8502", False, GrpcPlace("127.0.0.1", 8502)),
        ("127.0.0.1:8502", True, GrpcPlace("127.0.0.1", 8502)),
        ("http://localhost:8502", False, GrpcPlace("127.0.0.1", 8502)),
        ("HTTPS://127.0.0.1:8503/", False, GrpcPlace("127.0.0.1", 8503, tls=True)),
        ("https://[::1]:8503", True, GrpcPlace("::1", 8503, tls=True)),
        ("unix:///run/grpc.sock", False, GrpcPlace(socket="/run/grpc.sock")),
        ("unix:///run/grpc.sock", True, GrpcPlace(socket="/run/grpc.sock", tls=True)),
    ],
)
def test_an_address_that_is_given(client: Client, given: str, authority: bool, place: GrpcPlace) -> None:
    assert grpc_place(client, given, has_authority=authority) == (place, [])


@pytest.mark.parametrize(
    ("plaintext", "tls", "authority", "place"),
    [
        (7502, -1, False, GrpcPlace("127.0.0.1", 7502)),
        (7502, 7503, False, GrpcPlace("127.0.0.1", 7502)),
        (7502, 7503, True, GrpcPlace("127.0.0.1", 7503, tls=True)),
        (-1, 7503, False, GrpcPlace("127.0.0.1", 7503, tls=True)),
        (7502, -1, True, GrpcPlace("127.0.0.1", 7502)),
    ],
)
def test_the_agent_says_its_port(
    stub: Any, client: Client, plaintext: int, tls: int, authority: bool, place: GrpcPlace
) -> None:
    stub.answer("agent/self", {"xDS": {"Ports": {"Plaintext": plaintext, "TLS": tls}}})
    assert grpc_place(client, "", has_authority=authority) == (place, [])


def test_an_agent_that_must_not_be_asked(stub: Any, client: Client) -> None:
    stub.answer("agent/self", b"Permission denied", status=403)
    place, told = grpc_place(client, "", has_authority=False)
    assert place == GrpcPlace("127.0.0.1", 8502)
    assert told[0].startswith("Could not query /v1/agent/self for xDS ports: Unexpected response code: 403")
    assert told[1].endswith("Defaulting to localhost:8502")


def test_an_agent_without_grpc(stub: Any, client: Client) -> None:
    stub.answer("agent/self", {"xDS": {"Ports": {"Plaintext": -1, "TLS": -1}}})
    with pytest.raises(MeshError, match="Error looking up xDS port: agent has grpc disabled"):
        grpc_place(client, "", has_authority=False)


def test_what_is_no_address(stub: Any, client: Client) -> None:
    with pytest.raises(MeshError, match='Invalid Consul HTTP address: -grpc-addr: "localhost" is not ip:port'):
        grpc_place(client, "localhost", has_authority=False)
    stub.answer("agent/self", b"", status=500)
    with pytest.raises(MeshError, match="Error looking up xDS port: Unexpected response code: 500"):
        grpc_place(client, "", has_authority=False)


def test_names_are_looked_up() -> None:
    assert resolved("localhost", "x") == "127.0.0.1"
    with pytest.raises(MeshError, match="Failed to resolve agent address"):
        resolved("x" * 300, "agent address")  # longer than a name may be: nobody is asked


def test_authorities_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text(PEM)
    (tmp_path / "b.pem").write_text(PEM + "\n")
    assert authorities(str(tmp_path / "a.pem"), "", "-grpc-ca") == PEM + "\n"
    assert authorities("", str(tmp_path), "-grpc-ca") == (PEM + "\n") * 2
    assert authorities("", "", "-grpc-ca") == ""


def test_authorities_that_cannot_be_used(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"\xff")
    for file, folder, message in (
        (str(tmp_path / "none"), "", "-grpc-ca-file: cannot read .*none: No such file"),
        ("", str(tmp_path / "none"), "-grpc-ca-path: cannot read .*none: No such file"),
        (str(wrong), "", "-grpc-ca-file: .*wrong has no certificates in PEM"),
    ):
        with pytest.raises(MeshError, match=message):
            authorities(file, folder, "-grpc-ca")
    wrong.write_text("nothing")
    with pytest.raises(MeshError, match=r"-grpc-ca-path: .* has no certificates in PEM"):
        authorities("", str(tmp_path), "-grpc-ca")
