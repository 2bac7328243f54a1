import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from meshagent.agent.cli.client import ApiError, Client, Endpoint, Unreachable, settings_from
from meshagent.errors import MeshError


def test_flags_win_over_the_environment(tmp_path: Path) -> None:  # C33
    environment = {
        "CONSUL_HTTP_ADDR": "env:1",
        "CONSUL_HTTP_TOKEN": "env-token",
        "CONSUL_HTTP_AUTH": "u:p",
        "CONSUL_HTTP_SSL": "true",
        "CONSUL_HTTP_SSL_VERIFY": "false",
        "CONSUL_CACERT": "ca",
        "CONSUL_CAPATH": "capath",
        "CONSUL_CLIENT_CERT": "cert",
        "CONSUL_CLIENT_KEY": "key",
        "CONSUL_TLS_SERVER_NAME": "name",
        "CONSUL_NAMESPACE": "ns1",
        "CONSUL_PARTITION": "p1",
    }
    assert settings_from({}, environment) == Endpoint(
        "env:1",
        "env-token",
        "u:p",
        True,
        False,
        "ca",
        "capath",
        "cert",
        "key",
        "name",
        {"ns": "ns1", "partition": "p1"},
    )
    found = settings_from({"http_addr": "flag:2", "token": "t", "datacenter": "dc2", "stale": True}, environment)
    assert (found.address, found.token) == ("flag:2", "t")
    assert found.query == {"dc": "dc2", "ns": "ns1", "partition": "p1", "stale": ""}
    assert settings_from({}, {}) == Endpoint()


def test_tokens_come_from_files_too(tmp_path: Path) -> None:  # C33
    file = tmp_path / "token"
    file.write_text("secret\n")
    assert settings_from({"token_file": str(file)}, {"CONSUL_HTTP_TOKEN": "x"}).token == "secret"
    assert settings_from({}, {"CONSUL_HTTP_TOKEN_FILE": str(file)}).token == "secret"
    assert settings_from({"token": "given", "token_file": str(file)}, {}).token == "given"
    with pytest.raises(MeshError, match="Error loading token file /none: No such file"):
        settings_from({"token_file": "/none"}, {})


def test_a_request_carries_token_and_query(stub: Any) -> None:
    stub.answer("kv/a b/ü", [1])
    client = Client(Endpoint(stub.address, token="t", auth="u:p", query={"dc": "dc2", "stale": ""}))
    assert client.get("kv/a b/ü", {"filter": "a == b", "raw": ""}) == [1]
    assert stub.last.query == {"dc": "dc2", "stale": "", "filter": "a == b", "raw": ""}
    assert stub.last.headers["X-Consul-Token"] == "t"
    assert stub.last.headers["Authorization"] == "Basic dTpw"


def test_an_address_may_hold_user_and_path(stub: Any) -> None:
    stub.answers["GET", "/proxy/v1/x"] = (200, b"1")
    assert Client(Endpoint(f"http://u:p@{stub.address}/proxy/")).get("x") == 1
    assert stub.last.headers["Authorization"] == "Basic dTpw"


def test_a_unix_socket_is_an_address(tmp_path: Path) -> None:  # C33
    path = str(tmp_path / "http.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def answer() -> None:
        connection, _ = server.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n42")
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    assert Client(Endpoint(f"unix://{path}")).get("status/leader") == 42
    thread.join()
    server.close()


def test_errors_of_the_agent_keep_their_words(stub: Any) -> None:
    stub.answer("x", b"No cluster leader\n", status=500)
    client = Client(Endpoint(stub.address))
    with pytest.raises(ApiError, match=r"^Unexpected response code: 500 \(No cluster leader\)$") as caught:
        client.get("x")
    assert caught.value.status == 500
    with pytest.raises(ApiError, match=r"404"):
        list(client.lines("nothing"))
    stub.answer("html", b"<html>")
    with pytest.raises(MeshError, match="the answer is not JSON"):
        client.get("html")


def test_lines_come_until_the_end(stub: Any) -> None:
    stub.answer("agent/monitor", b"one\ntwo\n")
    assert list(Client(Endpoint(stub.address)).lines("agent/monitor")) == ["one", "two"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "nothing answers at 127.0.0.1:1: start an agent"),
        ("unix:///no/such.sock", "nothing answers at unix:///no/such.sock"),
        ("https://127.0.0.1:1", "nothing answers at"),
        ("ftp://x", "Unknown protocol scheme in the address ftp://x: use http, https or unix"),
        ("host:port", "the address host:port is not host:port"),
    ],
)
def test_what_cannot_be_reached_says_what_to_do(address: str, message: str) -> None:
    with pytest.raises(MeshError, match=f"^{message}"):
        Client(Endpoint(address)).get("x")


def test_tls_files_that_cannot_be_used_are_named() -> None:
    with pytest.raises(MeshError, match=r"cannot use the TLS files /no/ca\.pem"):
        Client(Endpoint("https://127.0.0.1:1", ca_file="/no/ca.pem")).get("x")


def test_https_against_plain_http_is_explained(stub: Any) -> None:
    with pytest.raises(Unreachable, match="cannot talk to"):
        Client(Endpoint(stub.address, ssl=True, ssl_verify=False)).get("x")


def test_a_peer_that_does_not_speak_http_is_explained() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = server.accept()
        connection.recv(4096)
        connection.sendall(b"SSH-2.0-OpenSSH\r\n")
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(Unreachable, match="does not speak HTTP"):
        Client(Endpoint(f"127.0.0.1:{server.getsockname()[1]}")).get("x")
    thread.join()
    server.close()
