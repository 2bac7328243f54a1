"""Where credentials at Amazon are found: each place of the chain, with the network's places on loopback."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click import ClickException

from meshagent.agent.cli.aws_credentials import find_credentials, find_region
from meshagent.agent.cli.sigv4 import Credentials

DOCUMENT = '{"AccessKeyId": "K", "SecretAccessKey": "S", "Token": "T"}'
ASSUMED = (
    '<AssumeRoleWithWebIdentityResponse xmlns="x"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>K'
    "</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken></Credentials>"
    "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)


class Places(http.server.BaseHTTPRequestHandler):
    """The instance's metadata (IMDSv2), a container's address and STS."""

    asked: list[tuple[str, str, str]]
    said: dict[str, tuple[int, str]]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        type(self).asked.append((f"{self.command} {self.path}", self.headers.get("Authorization", ""), body))
        status, text = self.said.get(f"{self.command} {self.path}", (404, ""))
        if "/meta-data/" in self.path and self.headers.get("X-aws-ec2-metadata-token") != "imds":
            status = 401
        self.send_response(status)
        if status == 302:
            self.send_header("Location", text)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_PUT = do_POST = answer

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    import os

    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    Places.asked, Places.said = [], {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Places)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    Places.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", Places.url)  # type: ignore[attr-defined]
    yield Places
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_environment_comes_first(places: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "K")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert find_credentials("r") == Credentials("K", "S") and find_region("") == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert find_region("") == "eu-west-2" and find_region("us-east-1") == "us-east-1"
    assert places.asked == []


def test_a_web_identity(places: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("a.b.c\n")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/a")
    places.said["POST /"] = (200, ASSUMED)
    assert find_credentials("r", places.url + "/") == Credentials("K", "S", "T")
    assert "WebIdentityToken=a.b.c" in places.asked[0][2] and "RoleArn=arn%3Aaws" in places.asked[0][2]
    places.said["POST /"] = (400, "")
    with pytest.raises(ClickException):
        find_credentials("r", places.url + "/")


def test_profiles(places: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[default]\nregion = eu-west-1\n[profile ci]\nregion = eu-west-3\n")
    (tmp_path / ".aws/credentials").write_text(
        "[default]\naws_access_key_id = K\naws_secret_access_key = S%x\n"
        "[ci]\naws_access_key_id = C\naws_secret_access_key = S\naws_session_token = T\n"
    )
    assert (find_region(""), find_credentials("r")) == ("eu-west-1", Credentials("K", "S%x"))
    monkeypatch.setenv("AWS_PROFILE", "ci")
    assert (find_region(""), find_credentials("r")) == ("eu-west-3", Credentials("C", "S", "T"))
    (tmp_path / ".aws/config").write_text("nonsense")
    with pytest.raises(ClickException):
        find_credentials("r")


def test_a_container(places: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", places.url + "/creds")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let-me")
    places.said["GET /creds"] = (200, DOCUMENT)
    assert find_credentials("r") == Credentials("K", "S", "T")
    assert places.asked == [("GET /creds", "let-me", "")]
    for said in ((200, "{}"), (200, "["), (302, places.url + "/elsewhere"), (500, "")):
        places.said["GET /creds"] = said
        with pytest.raises(ClickException):
            find_credentials("r")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "file:///etc/passwd")
    with pytest.raises(ClickException):
        find_credentials("r")


def test_an_instance(places: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    roles = "/latest/meta-data/iam/security-credentials/"
    places.said["PUT /latest/api/token"] = (200, "imds")
    places.said[f"GET {roles}"] = (200, "app")
    places.said[f"GET {roles}app"] = (200, DOCUMENT)
    places.said["GET /latest/meta-data/placement/region"] = (200, "eu-west-1")
    assert find_region("") == "eu-west-1" and find_credentials("r") == Credentials("K", "S", "T")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for search in (lambda: find_credentials("r"), lambda: find_region("")):
        with pytest.raises(ClickException):
            search()


def test_a_region_cannot_be_a_host_of_somebody(places: Any) -> None:
    with pytest.raises(ClickException):
        find_region("evil.test/#")
