"""Which services a transparent proxy finds by which address (surface rows M5, M10, M29)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.entries.mesh import Mesh, MeshTransparentProxy
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.entries.table import parse
from meshagent.catalog.mesh_services import MeshService
from meshagent.catalog.model import Node, Proxy, Service, ServiceAddress, ServiceEntry, TransparentProxy
from meshagent.connect.intentions import Default
from meshagent.connect.transparent import Transparent, addresses_of, canonical, reachable, transparent_of

ONLY = Mesh(transparent_proxy=MeshTransparentProxy(mesh_destinations_only=True))
SERVICES = (MeshService("api", ("240.0.0.1",)), MeshService("db", ("240.0.0.2",)), MeshService("web", ("240.0.0.3",)))


def sidecar(**proxy: Any) -> Service:
    return Service(kind="connect-proxy", id="p", name="p", port=1, proxy=Proxy(**proxy))


@pytest.mark.parametrize(
    ("service", "mesh", "wanted"),
    [
        (sidecar(), ONLY, None),
        (sidecar(mode="direct"), ONLY, None),
        (sidecar(mode="transparent"), None, Transparent(15001, False)),
        (sidecar(mode="transparent"), ONLY, Transparent(15001, True)),
        (sidecar(mode="transparent"), Mesh(), Transparent(15001, False)),
        (
            sidecar(mode="transparent", transparent_proxy=TransparentProxy(outbound_listener_port=15005)),
            None,
            Transparent(15005, False),
        ),
        (
            sidecar(mode="transparent", transparent_proxy=TransparentProxy(outbound_listener_port=99999)),
            None,
            Transparent(15001, False),
        ),
    ],
)
def test_what_a_registration_says(service: Service, mesh: Mesh | None, wanted: Transparent | None) -> None:
    assert transparent_of(service, mesh) == wanted


@pytest.mark.parametrize(
    ("entries", "default", "wanted"),
    [
        ([], True, ["api", "db", "web"]),
        ([], False, []),
        ([{"Name": "api", "Sources": [{"Name": "web", "Action": "allow"}]}], False, ["api"]),
        ([{"Name": "api", "Sources": [{"Name": "web", "Action": "audit"}]}], False, ["api"]),
        ([{"Name": "api", "Sources": [{"Name": "web", "Action": "deny"}]}], True, ["db", "web"]),
        ([{"Name": "*", "Sources": [{"Name": "web", "Action": "deny"}]}], True, []),
        (
            [
                {"Name": "*", "Sources": [{"Name": "*", "Action": "deny"}]},
                {"Name": "db", "Sources": [{"Name": "*", "Action": "allow"}]},
            ],
            True,
            ["db"],
        ),
        ([{"Name": "api", "Sources": [{"Name": "other", "Action": "allow"}]}], False, []),
    ],
)
def test_intentions_say_who_is_reached(entries: list[dict[str, Any]], default: bool, wanted: list[str]) -> None:
    rows: dict[str, ServiceIntentions] = {}
    for raw in entries:
        entry = parse({"Kind": "service-intentions", **raw})
        assert isinstance(entry, ServiceIntentions)
        rows[entry.name] = entry
    found = reachable(SERVICES, rows.get, "web", Default(default))
    assert [one.name for one in found] == wanted


def test_addresses_are_those_given_and_those_of_an_orchestrator() -> None:
    def instance(**tagged: str) -> ServiceEntry:
        addresses = {name: ServiceAddress(address=address) for name, address in tagged.items()}
        return ServiceEntry(Node(name="n"), Service(id="x", name="x", tagged_addresses=addresses or None), ())

    service = MeshService("api", ("240.0.0.1", "FD00::0:1"))
    rows = [instance(virtual="10.96.0.1", lan="10.0.0.1"), instance(), instance(virtual="10.96.0.1")]
    assert addresses_of(service, rows) == ("240.0.0.1", "fd00::1", "10.96.0.1")
    assert addresses_of(MeshService("api", ("no address",)), ()) == ()


@given(st.text())
def test_any_text_is_an_address_or_none(text: str) -> None:
    found = canonical(text)
    assert found == "" or canonical(found) == found
