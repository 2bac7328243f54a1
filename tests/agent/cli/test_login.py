"""`login` and `logout` (CL16), with a browser that is a thread."""

from __future__ import annotations

import json
import os
import stat
import threading
import urllib.request
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from meshtest.process import free_ports

from meshagent.agent.cli import login_oidc

ROW = {"SecretID": "the-secret", "AccessorID": "a"}


def test_a_bearer_token_becomes_a_private_file(cli: Any, stub: Any, tmp_path: Path) -> None:
    stub.answer("acl/login", ROW, method="POST")
    (tmp_path / "jwt").write_text("bearer\n")
    sink = tmp_path / "token"
    sink.write_text("old")
    sink.chmod(0o644)
    done = cli(f"login -method ci -bearer-token-file {tmp_path / 'jwt'} -token-sink-file {sink} -meta pod=p1")
    assert (done.status, done.out) == (0, "")
    assert stub.last.json == {"AuthMethod": "ci", "BearerToken": "bearer", "Meta": {"pod": "p1"}}
    assert sink.read_text() == "the-secret" and stat.S_IMODE(os.stat(sink).st_mode) == 0o600


def test_what_is_missing(cli: Any, stub: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    for words in (
        "-token-sink-file x -bearer-token-file y",
        "-method ci -bearer-token-file y",
        f"-method ci -token-sink-file {tmp_path / 's'}",
        f"-method ci -token-sink-file {tmp_path / 's'} -bearer-token-file {tmp_path / 'empty'}",
        f"-method ci -token-sink-file {tmp_path / 's'} -type ldap",
        f"-method ci -token-sink-file {tmp_path / 's'} -aws-region x",
        f"-method ci -token-sink-file {tmp_path / 's'} -aws-auto-bearer-token -bearer-token-file y",
    ):
        assert cli(f"login {words}").status == 1
    assert not (tmp_path / "s").exists()


def test_aws_credentials_become_a_bearer_token(
    cli: Any, stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.answer("acl/login", ROW, method="POST")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDX")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    flags = "-aws-auto-bearer-token -aws-region eu-west-1 -aws-server-id-header-value us"
    done = cli(f"login -method ci -token-sink-file {tmp_path / 'token'} {flags}")
    assert (done.status, done.out, (tmp_path / "token").read_text()) == (0, "", "the-secret")
    bearer = json.loads(stub.last.json["BearerToken"])
    assert bearer["iam_http_request_method"] == "POST"
    assert b64decode(bearer["iam_request_url"]) == b"https://sts.eu-west-1.amazonaws.com/"
    headers = json.loads(b64decode(bearer["iam_request_headers"]))
    assert headers["X-Consul-IAM-ServerID"] == ["us"] and "hush" not in stub.last.json["BearerToken"]
    assert "Credential=AKIDX/" in headers["Authorization"][0] and "x-consul-iam-serverid" in headers["Authorization"][0]


def test_a_person_logs_in_with_a_browser(cli: Any, stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.answer("acl/oidc/auth-url", {"AuthURL": "https://issuer/authorize?state=s1&x=y"}, method="POST")
    stub.answer("acl/oidc/callback", ROW, method="POST")
    port = free_ports(("http",))["http"]
    seen: list[int] = []
    browsers: list[threading.Thread] = []

    def browse(address: str) -> bool:
        def follow() -> None:
            base = f"http://127.0.0.1:{port}"
            for path in ("/favicon.ico", "/oidc/callback?state=forged&code=evil", "/oidc/callback?state=s1&code=c1"):
                try:
                    with urllib.request.urlopen(base + path, timeout=30) as answer:
                        seen.append(answer.status)
                except urllib.error.HTTPError as error:
                    seen.append(error.code)

        browsers.append(threading.Thread(target=follow))
        browsers[0].start()
        return True

    monkeypatch.setattr(login_oidc.webbrowser, "open", browse)
    sink = tmp_path / "token"
    listen = f"127.0.0.1:{port}"
    done = cli(f"login -type oidc -method sso -token-sink-file {sink} -oidc-callback-listen-addr {listen}")
    assert done.status == 0, done.err
    browsers[0].join(60)  # the command may end before the browser has looked at its last answer
    assert seen == [404, 400, 200]
    first, second = stub.asked[-2].json, stub.last.json
    assert second["Code"] == "c1" and second["State"] == "s1"
    assert second["ClientNonce"] == first["ClientNonce"] and len(first["ClientNonce"]) >= 16
    assert second["RedirectURI"] == f"http://{listen}/oidc/callback"
    assert sink.read_text() == "the-secret"


def test_logout(cli: Any, stub: Any) -> None:
    stub.answer("acl/logout", True, method="POST")
    assert cli("logout -token t").status == 0
    assert stub.last.headers["X-Consul-Token"] == "t"
    stub.answer("acl/logout", b"no", method="POST", status=403)
    assert "Error destroying token" in cli("logout").err
