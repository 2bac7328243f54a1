from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.decode import decode, to_builtins
from meshagent.agent.definitions import ServiceDefinition
from meshagent.errors import BadRequest


def test_a_file_form_and_an_api_form_are_one() -> None:
    snake = {
        "name": "web",
        "tagged_addresses": {"lan": {"address": "1.2.3.4", "port": 5}},
        "enable_tag_override": True,
        "socket_path": "/run/web",
        "connect": {"sidecar_service": {"proxy": {"upstreams": [{"destination_name": "db", "local_bind_port": 1}]}}},
    }
    consul = {
        "Name": "web",
        "TaggedAddresses": {"lan": {"Address": "1.2.3.4", "Port": 5}},
        "EnableTagOverride": True,
        "SocketPath": "/run/web",
        "Connect": {"SidecarService": {"Proxy": {"Upstreams": [{"DestinationName": "db", "LocalBindPort": 1}]}}},
    }
    service = decode(ServiceDefinition, snake)
    assert service == decode(ServiceDefinition, consul, snake_case=False)
    assert decode(ServiceDefinition, to_builtins(service)) == service


@pytest.mark.parametrize(
    ("meta", "problem"),
    [
        ({"k" * 129: ""}, "Key is too long (limit: 128 characters)"),
        ({"k": "v" * 513}, "Value is too long (limit: 512 characters)"),
        ({str(n): "" for n in range(65)}, "Node metadata cannot contain more than 64 key/value pairs"),
    ],
)
def test_metadata_has_limits(meta: dict[str, str], problem: str) -> None:
    with pytest.raises(BadRequest) as error:
        ServiceDefinition(name="a", meta=meta).validate()
    assert str(error.value).startswith("Invalid Service Meta: ")
    assert str(error.value).endswith(problem)


def test_a_mesh_gateway_may_say_that_it_is_for_servers() -> None:
    meta = {"consul-wan-federation": "1"}
    ServiceDefinition(name="gw", kind="mesh-gateway", port=1, meta=meta).validate()
    for kind, more in (("", meta), ("ingress-gateway", meta), ("mesh-gateway", {"consul-other": "1"})):
        with pytest.raises(BadRequest, match="reserved for internal use"):
            ServiceDefinition(name="gw", kind=kind, port=1, meta=more).validate()


def test_a_sidecar_is_checked_too() -> None:
    def refused(sidecar: dict[str, object]) -> str:
        with pytest.raises(BadRequest) as error:
            decode(ServiceDefinition, {"Name": "a", "Connect": {"SidecarService": sidecar}}).validate()
        return str(error.value)

    assert refused({"Check": {"Interval": "1s"}}) == "Invalid sidecar check: TTL must be > 0 for TTL checks"
    assert refused({"Address": "0.0.0.0"}) == "Invalid service address"
    assert refused({"Weights": {"Passing": 0}}) == "Invalid sidecar Weights: Passing must be greater than 0"


def test_odd_names_and_ports_only_warn() -> None:
    service = ServiceDefinition(name="Odd_Name.x", tags=("ok", "t" * 64), port=70000)
    service.validate()
    first, second, third = service.warnings()
    assert first.startswith('Service name "Odd_Name.x" will not be discoverable via DNS due to invalid characters')
    assert "Valid lengths are between 1 and 63 bytes" in second
    assert "70000" in third
    assert ServiceDefinition(name="web", port=80).warnings() == []


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3), st.text(max_size=4), st.integers())
def test_any_service_validates_or_raises_bad_request(meta: dict[str, str], name: str, weight: int) -> None:
    try:
        decode(ServiceDefinition, {"Name": name, "Meta": meta, "Weights": {"Passing": weight}}).validate()
    except BadRequest as error:
        assert str(error)
