from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.agent.peering.messages import EXPORTED_SERVICE, TRUST_BUNDLE, Packed
from meshagent.agent.peering.resources import PeerMeta, decode_instances, encode_instances, overall_check
from meshagent.catalog.model import (
    Check,
    Connect,
    Node,
    Proxy,
    Service,
    ServiceAddress,
    ServiceEntry,
    Upstream,
    Weights,
)
from meshagent.errors import RemoteProtocolError

texts = st.text(min_size=1, max_size=6)
metas = st.none() | st.dictionaries(texts, texts, min_size=1, max_size=2)
entries = st.builds(
    ServiceEntry,
    st.builds(Node, id=texts, name=texts, address=texts, datacenter=texts, meta=metas, tagged_addresses=metas),
    st.builds(
        Service,
        id=texts,
        name=st.just("web"),
        tags=st.lists(texts, max_size=2).map(tuple),
        address=texts,
        meta=metas,
        port=st.integers(0, 65535),
        weights=st.builds(Weights, passing=st.integers(0, 9), warning=st.integers(0, 9)),
        connect=st.builds(Connect, native=st.booleans()),
        tagged_addresses=st.none()
        | st.dictionaries(st.just("lan"), st.builds(ServiceAddress, address=texts, port=st.integers(0, 9)), min_size=1),
    ),
    st.just(()),
)


@given(st.lists(entries, max_size=3))
def test_instances_arrive_as_they_are(rows: list[ServiceEntry]) -> None:
    got = decode_instances("web", encode_instances("web", rows))
    assert [(entry.node, entry.service) for entry in got] == [(entry.node, entry.service) for entry in rows]


@given(st.binary(max_size=80))
def test_any_bytes_are_instances_or_an_error(data: bytes) -> None:
    try:
        decode_instances("web", Packed(EXPORTED_SERVICE, data))
    except RemoteProtocolError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        ((), "passing"),
        (("passing", "warning"), "warning"),
        (("warning", "critical", "passing"), "critical"),
        (("passing", "maintenance"), "critical"),
    ],
)
def test_one_check_stands_for_all(states: tuple[str, ...], worst: str) -> None:
    checks = tuple(Check(check_id=f"c{at}", status=state) for at, state in enumerate(states))
    entry = ServiceEntry(Node(name="n"), Service(id="w1", name="web"), checks)
    check = overall_check(entry, "web")
    assert (check.check_id, check.status, check.service_id, check.service_name, check.node) == (
        "w1:overall-check", worst, "w1", "web", "n",
    )  # fmt: skip


def test_what_concerns_nobody_else_stays_here() -> None:
    check = Check(
        node="n", check_id="c", name="db of customers", output="password: x", status="critical", service_id="p"
    )
    proxy = Proxy(
        destination_service_name="web",
        local_service_port=8080,
        config={"token": "hush"},
        upstreams=(Upstream(destination_name="vault"),),
    )
    sidecar = Service(
        id="p",
        name="own-name",
        kind="connect-proxy",
        port=21000,
        proxy=proxy,
        tagged_addresses={"consul-virtual": ServiceAddress(address="240.0.0.1")},
    )
    packed = encode_instances(
        "web-sidecar-proxy",
        [ServiceEntry(Node(name="n", address="10.0.0.1"), sidecar, (check,))],
        PeerMeta(("sni",), ("spiffe://t/ns/default/dc/dc1/svc/web",), "http"),
    )
    for word in (b"customers", b"password", b"hush", b"vault", b"own-name", b"240.0.0.1"):
        assert word not in packed.data
    assert b"spiffe://t/ns/default/dc/dc1/svc/web" in packed.data
    (entry,) = decode_instances("web-sidecar-proxy", packed)
    assert (entry.service.kind, entry.service.name, entry.service.port) == ("connect-proxy", "web-sidecar-proxy", 21000)
    assert entry.service.proxy == Proxy(destination_service_name="web")
    assert [one.status for one in entry.checks] == ["critical"]


def test_rows_that_cannot_be_are_refused() -> None:
    node, service = Node(name="n"), Service(id="w", name="web")
    with pytest.raises(RemoteProtocolError, match="an instance of 'db' as one of web"):
        decode_instances("web", encode_instances("db", [ServiceEntry(node, service, ())]))
    with pytest.raises(RemoteProtocolError, match="without a node or an id"):
        decode_instances("web", encode_instances("web", [ServiceEntry(Node(name=""), service, ())]))
    with pytest.raises(RemoteProtocolError, match="with the port 70000"):
        decode_instances("web", encode_instances("web", [ServiceEntry(node, Service(id="w", port=70000, name=""), ())]))
    with pytest.raises(RemoteProtocolError, match="as instances of a service"):
        decode_instances("web", Packed(TRUST_BUNDLE, b""))
