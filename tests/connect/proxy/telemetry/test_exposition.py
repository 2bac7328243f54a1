"""The text that Prometheus reads."""

from __future__ import annotations

import re

from meshtest.clusters import World, endpoints

from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry.exposition import FAMILIES, Scene, exposition
from meshagent.connect.proxy.telemetry.series import Series


def scene() -> Scene:
    series = Series(("inbound", 'we"b', "api", "r"))
    for seconds in (0.0001, 0.02, 99.0):
        series.observe(200, seconds, 5, 6)
    series.observe(503, 0.3, 0, 0)
    series.flags["UF"] = 1
    series.retries, series.active = 2, 1
    world = World()
    world.update(endpoints(3))
    world.fail(0, 5)
    world.cluster.breaker.try_connection()
    clusters = (("127.0.0.1:9", world.cluster),)
    return Scene(
        "api", "api-sidecar-proxy", (series,), clusters, Tallies(accepted=3), leaf_left_s=12.5,
        refused_requests=(("bad chunk", 4),),
    )  # fmt: skip


def test_every_line_is_well_formed_and_belongs_to_a_family() -> None:
    text = exposition([scene()]).decode()
    line = re.compile(r'[a-z_]+\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\} [0-9.]+(?:e[+-]?\d+)?')
    family = ""
    for one in text.splitlines():
        if one.startswith("# HELP "):
            family = one.split(" ")[2]
        elif not one.startswith("# TYPE "):
            assert line.fullmatch(one), one
            assert one.startswith(family), one
    assert len({row.name for row in FAMILIES}) == len(FAMILIES)


def test_golden_signals() -> None:
    text = exposition([scene()]).decode()
    proxy = 'service="api",proxy_id="api-sidecar-proxy"'
    edge = f'{proxy},direction="inbound",source="we\\"b",destination="api",route="r",tls="mutual"'
    assert f'requests_total{{{edge},class="2xx"}} 3\n' in text
    assert f'requests_total{{{edge},class="5xx"}} 1\n' in text
    assert f'request_duration_seconds_bucket{{{edge},le="0.0005"}} 1\n' in text
    assert f'request_duration_seconds_bucket{{{edge},le="0.025"}} 2\n' in text
    assert f'request_duration_seconds_bucket{{{edge},le="+Inf"}} 4\n' in text
    assert f"request_duration_seconds_count{{{edge}}} 4\n" in text
    assert f'response_flags_total{{{edge},flag="UF"}} 1\n' in text
    assert f"connections_active{{{edge}}} 1\n" in text


def test_traffic_without_proof_says_so() -> None:
    series = Series(("inbound", "", "api", ""))
    series.connections = 2
    text = exposition([Scene("api", "p", (series,), tallies=Tallies(plain=2))]).decode()
    assert (
        'connections_total{service="api",proxy_id="p",direction="inbound",source="",destination="api",tls="none"} 2'
        in text
    )
    assert 'plain_connections_total{service="api",proxy_id="p"} 2' in text


def test_upstreams_and_certificates() -> None:
    text = exposition([scene()]).decode()
    upstream = 'upstream="127.0.0.1:9",cluster="api"'
    assert f'{upstream},state="ejected"}} 1\n' in text
    assert f'{upstream},state="usable"}} 2\n' in text
    assert (
        f'upstream_ejections_total{{service="api",proxy_id="api-sidecar-proxy",{upstream},reason="consecutive_5xx"}} 1'
        in text
    )
    assert "leaf_expiry_seconds{service" in text
    assert "} 12.5\n" in text
    assert 'outcome="accepted"} 3\n' in text
    assert 'reason="bad chunk"} 4\n' in text
    assert "leaf_expiry" not in exposition([Scene("api", "p")]).decode()


def test_several_sidecars_share_their_families() -> None:
    text = exposition([scene(), Scene("db", "db-sidecar-proxy", leaf_left_s=1.0)]).decode()
    assert text.count("# TYPE meshagent_proxy_leaf_expiry_seconds gauge") == 1
    assert 'leaf_expiry_seconds{service="db",proxy_id="db-sidecar-proxy"} 1\n' in text
