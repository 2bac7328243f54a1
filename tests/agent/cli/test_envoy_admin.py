"""What `troubleshoot` reads of the administration interface of an Envoy; of a real one: interop/test_envoy_mesh.py."""

from __future__ import annotations

from typing import Any

import pytest


def pages(stub: Any, **more: bytes) -> None:
    for path in ("certs", "stats", "config_dump", "clusters"):
        stub.answers["GET", f"/{path}"] = (200, more.get(path, b"{}"))


def test_it_is_looked_at(cli: Any, stub: Any) -> None:
    pages(stub)
    ran = cli(f"troubleshoot upstreams -envoy-admin-endpoint {stub.address}")
    assert ran.out.startswith("==> Upstreams (explicit upstreams only) (0)\n")
    ran = cli(f"troubleshoot proxy -envoy-admin-endpoint {stub.address} -upstream-envoy-id api")
    assert ran.status == 1
    assert "! There are no certificates" in ran.out
    assert '! No listener for upstream "api" found' in ran.out
    assert {one.path for one in stub.asked} == {"/certs", "/stats", "/config_dump", "/clusters"}


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("localhost", '-envoy-admin-endpoint: "localhost" is not ip:port'),
        ("127.0.0.1:1", "no Envoy answers at 127.0.0.1:1: Connection refused; say where with -envoy-admin-endpoint"),
    ],
)
def test_where_nothing_answers(cli: Any, endpoint: str, message: str) -> None:
    ran = cli(f"troubleshoot upstreams -envoy-admin-endpoint {endpoint}")
    assert (ran.status, ran.err) == (1, f"{message}\n")


def test_what_is_no_envoy(cli: Any, stub: Any) -> None:
    line = f"troubleshoot upstreams -envoy-admin-endpoint {stub.address}"
    assert "answers /certs with 404" in cli(line).err
    pages(stub, stats=b"hello")
    assert "is no Envoy: /stats?format=json is not JSON" in cli(line).err
