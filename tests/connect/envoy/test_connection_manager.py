"""Connection managers as a real Consul renders them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from meshtest.envoygolden import TRUST_DOMAIN, entries, filters, lookup, recorded, unordered

from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.mesh import Mesh
from meshagent.catalog.entries.rate_limits import Rate, RateLimits, RouteRate
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.model import AccessLogs, Upstream
from meshagent.connect.chain import compile_chain
from meshagent.connect.envoy import connection_manager, wire
from meshagent.connect.exposing import Exposed
from meshagent.connect.intentions import matching
from meshagent.connect.l7 import Extras, FaultSettings
from meshagent.connect.mesh_settings import MeshSettings, Normalization, mesh_settings
from meshagent.connect.observing import Observing
from meshagent.connect.snapshot import Inbound, Outbound, ProxySnapshot, outbound_of

HCM = "envoy.filters.network.http_connection_manager"


def snapshot(name: str = "grpc", service: str = "api", **more: Any) -> ProxySnapshot:
    """What a recording's entries make of the sidecar of a service."""
    known = entries(name)
    written = {one.name: one for one in known.values() if isinstance(one, ServiceIntentions)}
    mesh = next((one for one in known.values() if isinstance(one, Mesh)), None)
    made = ProxySnapshot(
        f"{service}-sidecar-proxy",
        service,
        "dc1",
        TRUST_DOMAIN,
        recorded(name)["default_intention_policy"] == "allow",
        "",
        intentions=tuple(matching(written.get, service)),
        jwt_providers=tuple(one for one in known.values() if isinstance(one, JWTProvider)),
        mesh=mesh_settings(mesh, None, None),
        inbound=Inbound("127.0.0.1", 27002, "127.0.0.1", 18081, protocol="http"),
    )
    result: ProxySnapshot = msgspec.structs.replace(made, **more)
    return result


def with_inbound(one: ProxySnapshot, **more: Any) -> ProxySnapshot:
    result: ProxySnapshot = msgspec.structs.replace(one, inbound=msgspec.structs.replace(one.inbound, **more))
    return result


def public(name: str, service: str) -> Any:
    listeners = recorded(name)["proxies"][f"{service}-sidecar-proxy"]["listeners"]
    (found,) = (one for key, one in listeners.items() if key.startswith("public_listener"))
    (hcm,) = (one for one in found["filter_chains"][0]["filters"] if one["name"] == HCM)
    return hcm


def without(filter_: Any, *names: str) -> Any:
    """Without some filters, and the access log of this recording (tests/connect/envoy/test_access_logs.py has it)."""
    config = {key: value for key, value in filter_["typed_config"].items() if key != "access_log"}
    kept = [one for one in config["http_filters"] if one["name"] not in names]
    return {**filter_, "typed_config": {**config, "http_filters": kept}}


class TestRecorded:
    """What Consul 1.20 renders."""

    @pytest.mark.parametrize(
        ("name", "service", "inbound"),
        [
            ("router", "web", {}),
            ("http2", "api", {"protocol": "http2"}),
            ("grpc", "api", {"protocol": "grpc"}),
            ("http-l7-intentions-default-allow", "api", {}),
            ("mesh-defaults", "web", {"request_timeout_ms": 0}),
        ],
    )
    def test_the_public_side(self, name: str, service: str, inbound: dict[str, Any]) -> None:
        made = connection_manager.inbound(with_inbound(snapshot(name, service), **inbound))
        assert unordered(without(made)) == unordered(without(public(name, service)))
        assert wire.encode(made["typed_config"])

    def test_tokens_come_first(self) -> None:
        made = connection_manager.inbound(snapshot("jwt"))
        jwt, rbac = "envoy.filters.http.jwt_authn", "envoy.filters.http.rbac"
        order = [one["name"] for one in made["typed_config"]["http_filters"]]
        assert order == [one["name"] for one in public("jwt", "api")["typed_config"]["http_filters"]]
        assert order[:2] == [jwt, rbac]
        assert unordered(without(made, jwt)) == unordered(without(public("jwt", "api"), jwt))

    def test_limits_of_the_application(self) -> None:
        made = connection_manager.inbound(with_inbound(snapshot(), request_timeout_ms=4321, idle_timeout_ms=60_000))
        (hcm,) = (one for one in filters("upstream-config", "web-sidecar-proxy", HCM) if is_public(one))
        assert made["typed_config"]["route_config"] == hcm["typed_config"]["route_config"]

    @pytest.mark.parametrize("name", ["router", "splitter", "grpc", "http2", "load-balancer", "failover"])
    def test_upstreams(self, name: str) -> None:
        found = 0
        for key, listener in recorded(name)["proxies"]["web-sidecar-proxy"]["listeners"].items():
            (filter_,) = listener["filter_chains"][0]["filters"][-1:]
            if key.startswith("public_listener") or filter_["name"] != HCM:
                continue
            one = upstream(name, key.partition(":")[0])
            made = connection_manager.outbound(snapshot(name, "web", outbound=(one,)), one)
            assert without(made) == without(filter_)
            assert wire.encode(made["typed_config"])
            found += 1
        assert found

    @pytest.mark.parametrize(
        ("name", "port", "path", "protocol", "cluster"),
        [
            ("expose-checks", 27203, "/metrics", "http", "exposed_cluster_18090"),
            ("expose-checks", 27211, "/grpc.health.v1.Health/Check", "http2", "local_app"),
            ("mesh-defaults", 27202, "/grpc", "http2", "exposed_cluster_18085"),
        ],
    )
    def test_exposed_paths(self, name: str, port: int, path: str, protocol: str, cluster: str) -> None:
        listeners = recorded(name)["proxies"]["web-sidecar-proxy"]["listeners"]
        (listener,) = (one for key, one in listeners.items() if key.endswith(f":{port}"))
        (consul,) = listener["filter_chains"][0]["filters"]
        one = Exposed("127.0.0.1", port, path, "127.0.0.1", 1, protocol=protocol)
        assert without(connection_manager.exposed(snapshot(), one, cluster)) == without(consul)


def is_public(hcm: Any) -> bool:
    return bool(hcm["typed_config"]["stat_prefix"] == "public_listener")


def upstream(name: str, service: str, **config: Any) -> Outbound:
    chain = compile_chain(lookup(entries(name)), service, "dc1", TRUST_DOMAIN)
    return outbound_of(Upstream(destination_name=service, local_bind_port=1, config=config), chain)


def names_of(filter_: Any) -> list[str]:
    return [one["name"].rpartition(".")[2] for one in filter_["typed_config"]["http_filters"]]


def test_faults_stand_before_the_router() -> None:
    one = msgspec.structs.replace(upstream("router", "api"), extras=Extras(fault=FaultSettings(abort_status=503)))
    made = connection_manager.outbound(snapshot("router", "web", outbound=(one,)), one)
    assert names_of(made) == ["fault", "router"]


def test_rates_stand_behind_who_asks_and_paths_have_their_own() -> None:
    limits = RateLimits(Rate(10, 20), (RouteRate(Rate(1, 1), prefix="/slow"),), Rate(5, 5))
    made = connection_manager.inbound(snapshot("router", "web", rate_limits=limits))
    assert names_of(made) == ["rbac", "header_to_metadata", "callers", "local_ratelimit", "router"]
    slow, everything = made["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    assert slow["match"] == {"prefix": "/slow"}
    assert "envoy.filters.http.local_ratelimit" in slow["typed_per_filter_config"]
    assert "typed_per_filter_config" not in everything
    assert wire.encode(made["typed_config"])


def test_the_mesh_may_leave_paths_alone_and_say_nothing_of_callers() -> None:
    rules = Normalization(path=False, merge_slashes=False, escaped_slashes="REJECT_REQUEST", underscores="DROP_HEADER")
    made = connection_manager.inbound(snapshot(mesh=MeshSettings(sanitize_xfcc=True, normalization=rules)))
    config = made["typed_config"]
    assert not {"normalize_path", "merge_slashes", "forward_client_cert_details"} & set(config)
    assert config["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    assert config["common_http_protocol_options"] == {"headers_with_underscores_action": "DROP_HEADER"}
    assert names_of(made) == ["rbac", "router"]


def test_access_logs() -> None:
    observing = Observing(access_logs=AccessLogs(enabled=True))
    made = connection_manager.inbound(snapshot(observing=observing))
    assert [one["name"] for one in made["typed_config"]["access_log"]] == ["Consul Listener Filter Log"]


def test_a_snapshot_without_an_inbound_side_has_no_public_listener() -> None:
    with pytest.raises(ValueError, match="no inbound side"):
        connection_manager.inbound(snapshot(inbound=None))
