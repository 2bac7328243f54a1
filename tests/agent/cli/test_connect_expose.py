"""`connect expose` (CL21)."""

from typing import Any

import pytest

LINE = "connect expose -service web -ingress-gateway edge -port 8888"


def test_a_new_gateway(cli: Any, stub: Any) -> None:
    stub.answer("config/ingress-gateway/edge", b"", status=404)
    stub.answer("config", True, method="PUT")
    stub.answer("connect/intentions/exact", b"Intention not found", status=404)
    stub.answer("connect/intentions/exact", True, method="PUT")
    ran = cli(f"{LINE} -protocol http -host web.example")
    assert ran.out == (
        'Successfully updated config entry for ingress service "edge"\n'
        'Successfully set up intention for "edge" -> "web"\n'
    )
    written = next(one for one in stub.asked if one.path == "/v1/config")
    assert written.query == {"cas": "0"}
    services = [{"Name": "web", "Hosts": ["web.example"]}]
    assert written.json["Listeners"] == [{"Port": 8888, "Protocol": "http", "Services": services}]
    assert (stub.last.query, stub.last.json) == ({"source": "edge", "destination": "web"}, {"Action": "allow"})


def test_a_listener_that_is_there(cli: Any, stub: Any) -> None:
    listener = {"Port": 8888, "Protocol": "http", "Services": [{"Name": "api", "Hosts": ["a"]}]}
    entry = {"Kind": "ingress-gateway", "Name": "edge", "Listeners": [listener], "CreateIndex": 1, "ModifyIndex": 7}
    stub.answer("config/ingress-gateway/edge", entry)
    stub.answer("config", True, method="PUT")
    stub.answer("connect/intentions/exact", {"Action": "allow"})
    assert 'conflicting protocol "http"' in cli(LINE).err
    ran = cli("connect expose -service api -ingress-gateway edge -port 8888 -protocol http -host b -host a")
    assert 'Intention already exists for "edge" -> "api"' in ran.out
    written = next(one for one in stub.asked if one.path == "/v1/config")
    assert written.query == {"cas": "7"}
    assert "ModifyIndex" not in written.json
    assert written.json["Listeners"][0]["Services"] == [{"Name": "api", "Hosts": ["a", "b"]}]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("", "-service flag"),
        ("-service web", "-ingress-gateway flag"),
        ("-service web -ingress-gateway edge", "-port flag"),
    ],
)
def test_flags(cli: Any, stub: Any, flags: str, message: str) -> None:
    ran = cli(f"connect expose {flags}")
    assert ran.status == 1
    assert message in ran.err


def test_what_is_refused_is_told(cli: Any, stub: Any) -> None:
    stub.answer("config/ingress-gateway/edge", b"", status=404)
    stub.answer("config", b"Permission denied", method="PUT", status=403)
    assert "Permission denied" in cli(LINE).err
    stub.answer("config", False, method="PUT")
    assert "changed meanwhile" in cli(LINE).err
