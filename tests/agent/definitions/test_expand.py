from __future__ import annotations

import pytest

from meshagent.agent.decode import decode
from meshagent.agent.definitions import (
    CheckDefinition,
    Registration,
    ServiceDefinition,
    check_row,
    expand,
    lowest_free_port,
    to_service_row,
)
from meshagent.catalog.model import Service, ServiceAddress
from meshagent.errors import BadRequest


def _expand(body: dict[str, object], **options: str) -> tuple[Registration, ...]:
    return expand(decode(ServiceDefinition, body), sidecar_port=lambda _: 21000, **options)


def test_checks_get_consuls_ids_and_names() -> None:
    """K1: one check is `service:<id>`, several are numbered; own ids and names stay."""
    (one,) = _expand({"ID": "w1", "Name": "web", "Check": {"TTL": "1s"}})
    assert [(c.id, c.name, c.service_id) for c in one.checks] == [("service:w1", "Service 'web' check", "w1")]
    (many,) = _expand(
        {"Name": "web", "Check": {"CheckID": "mine", "TTL": "1s"}, "Checks": [{"TTL": "1s", "Name": "n"}]}
    )
    assert [(c.id, c.name) for c in many.checks] == [("mine", "Service 'web' check"), ("service:web:2", "n")]
    (none,) = _expand({"Name": "web", "Check": {"TTL": "0s"}})
    assert none.checks == ()


def test_a_sidecar_takes_what_it_does_not_say_from_its_service() -> None:
    """M2 and M3."""
    web, sidecar = _expand(
        {
            "ID": "web1",
            "Name": "web",
            "Port": 8080,
            "Tags": ["t"],
            "Meta": {"a": "b"},
            "Address": "10.1.1.2",
            "Locality": {"Region": "r"},
            "Connect": {"SidecarService": {}},
        }
    )
    assert web.service.connect is None
    service = sidecar.service
    assert (service.id, service.name, service.kind) == ("web1-sidecar-proxy", "web-sidecar-proxy", "connect-proxy")
    assert (service.tags, service.meta, service.address, service.port) == (("t",), {"a": "b"}, "10.1.1.2", 21000)
    assert service.locality == web.service.locality
    assert service.proxy is not None
    assert (service.proxy.destination_service_name, service.proxy.destination_service_id) == ("web", "web1")
    assert (service.proxy.local_service_address, service.proxy.local_service_port) == ("127.0.0.1", 8080)
    listening, alias = sidecar.checks
    assert (listening.id, listening.name) == ("service:web1-sidecar-proxy:1", "Connect Sidecar Listening")
    assert (listening.tcp, listening.interval) == ("10.1.1.2:21000", 10.0)
    assert (alias.id, alias.name) == ("service:web1-sidecar-proxy:2", "Connect Sidecar Aliasing web1")
    assert alias.alias_service == "web1"


def test_a_sidecar_keeps_what_it_says() -> None:
    _, sidecar = _expand(
        {
            "Name": "api",
            "Port": 9090,
            "Connect": {"SidecarService": {"Port": 20500, "Tags": ["s"], "Check": {"TTL": "1h", "Name": "own"}}},
        }
    )
    assert (sidecar.service.port, sidecar.service.tags) == (20500, ("s",))
    assert [(c.id, c.name) for c in sidecar.checks] == [("service:api-sidecar-proxy", "own")]


def test_a_service_on_a_socket_is_reached_on_it() -> None:
    _, sidecar = _expand({"Name": "a", "SocketPath": "/run/a", "Connect": {"SidecarService": {"SocketPath": "/run/p"}}})
    assert sidecar.service.proxy is not None
    assert sidecar.service.proxy.local_service_socket_path == "/run/a"
    assert sidecar.service.proxy.local_service_address == ""
    assert sidecar.service.port == 0
    assert [c.kind for c in sidecar.checks] == ["alias"]


def test_a_native_service_may_also_have_a_sidecar() -> None:
    native, _ = _expand({"Name": "a", "Port": 1, "Connect": {"Native": True, "SidecarService": {}}})
    assert to_service_row(native.service).connect.native


def test_the_registrations_token_goes_to_everything() -> None:
    registrations = _expand({"Name": "a", "Check": {"TTL": "1s"}, "Connect": {"SidecarService": {}}}, token="t")
    assert {r.service.token for r in registrations} == {"t"}
    assert {c.token for r in registrations for c in r.checks} == {"t"}
    (own,) = _expand({"Name": "a", "Token": "own"}, token="t")
    assert own.service.token == "own"


def test_ports_are_given_out_from_the_lowest() -> None:
    assert lowest_free_port({21000, 21002}, 21000, 21255) == 21001
    with pytest.raises(BadRequest, match=r"none left in the configured range \[21000, 21001\]"):
        lowest_free_port({21000, 21001}, 21000, 21001)
    with pytest.raises(BadRequest, match="auto-assignment disabled"):
        lowest_free_port((), 0, 0)


def test_an_address_is_tagged_with_its_family() -> None:
    row = to_service_row(ServiceDefinition(name="a", address="2001:db8::1", port=5))
    own = ServiceAddress(address="2001:db8::1", port=5)
    assert row.tagged_addresses == {"lan_ipv6": own, "wan_ipv6": own}
    assert to_service_row(ServiceDefinition(name="a", address="host.example")).tagged_addresses is None


def test_a_check_row_shows_its_service_and_consuls_empty_times() -> None:
    check = CheckDefinition(id="c", name="n", tcp="a:1", interval=1800.0, notes="why")
    row = check_row(check, node="n1", service=Service(id="w1", name="web", tags=("t",)))
    assert (row.service_id, row.service_name, row.service_tags, row.type) == ("w1", "web", ("t",), "tcp")
    assert (row.status, row.interval, row.timeout, row.notes) == ("critical", "30m0s", "", "why")
    alone = check_row(CheckDefinition(name="n", ttl=1.0, status="passing"), node="n1", standalone=True)
    assert (alone.check_id, alone.status, alone.interval, alone.timeout) == ("n", "passing", "0s", "0s")
