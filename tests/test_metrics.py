import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meshagent.metrics import Metrics, MetricsSettings, Sampler
from meshagent.metrics_names import DECLARED

START = datetime(2024, 1, 1, 0, 0, 3, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "data/golden/http/metrics-shape.json"


def seconds(count: float) -> datetime:
    return START + timedelta(seconds=count)


def started(**settings: object) -> Metrics:
    metrics = Metrics(settings=MetricsSettings(**settings))  # type: ignore[arg-type]
    metrics.tick(START)
    return metrics


def row(rows: list[dict[str, object]], name: str) -> dict[str, object]:
    (found,) = [r for r in rows if r["Name"] == name]
    return found


def test_a_finished_interval_is_shown_with_its_aggregates() -> None:  # A22
    metrics = started()
    for value in (1.0, 2.0, 6.0):
        metrics.sample("kvs.apply", value)
    metrics.incr("rpc.request")
    metrics.incr("rpc.request", 4)
    shown = metrics.display(seconds(8))
    assert shown["Timestamp"] == "2024-01-01 00:00:00 +0000 UTC"
    assert row(shown["Samples"], "consul.kvs.apply") == {
        "Name": "consul.kvs.apply",
        "Count": 3,
        "Rate": 0.9,
        "Sum": 9,
        "Min": 1,
        "Max": 6,
        "Mean": 3,
        "Stddev": pytest.approx(math.sqrt(7)),
        "Labels": {},
    }
    counter = row(shown["Counters"], "consul.rpc.request")
    assert (counter["Count"], counter["Sum"], counter["Rate"]) == (2, 5, 0.5)
    assert set(shown) == {"Timestamp", "Gauges", "Points", "Counters", "Samples"}
    json.dumps(shown)


def test_the_current_interval_is_shown_only_before_the_first_has_ended() -> None:  # A22
    metrics = started()
    metrics.incr("rpc.query")
    assert row(metrics.display(seconds(1))["Counters"], "consul.rpc.query")["Count"] == 1
    metrics.display(seconds(8))
    metrics.incr("rpc.query", 7)
    assert row(metrics.display(seconds(9))["Counters"], "consul.rpc.query")["Sum"] == 1
    assert row(metrics.display(seconds(18))["Counters"], "consul.rpc.query")["Sum"] == 7
    assert metrics.display(seconds(28))["Counters"] == []


def test_intervals_are_aligned_to_ten_seconds_of_wall_time() -> None:
    metrics = started()
    assert metrics.tick(seconds(0)) == pytest.approx(7.0)
    assert metrics.tick(seconds(7)) == pytest.approx(10.0)


def test_a_kept_counter_goes_on_counting_over_intervals() -> None:
    metrics = started()
    counter = metrics.counter("dns.domain_query", (("node", "n1"),))
    counter.incr()
    metrics.tick(seconds(10))
    counter.incr()
    shown = metrics.display(seconds(20))["Counters"]
    assert shown[0]["Count"] == 1
    assert shown[0]["Labels"] == {"node": "n1"}
    assert metrics.counter("dns.domain_query", (("node", "n1"),)) is counter


def test_measure_samples_milliseconds_since_the_start() -> None:
    metrics = Metrics(monotonic=lambda: 12.5)
    metrics.tick(START)
    metrics.measure("api.http", 12.0, (("method", "GET"),))
    assert metrics.display(START)["Samples"][0]["Sum"] == 500


def test_gauges_hold_until_set_again_and_are_collected_at_each_look() -> None:
    metrics = started()
    metrics.gauge("once", 1)
    seen = iter((0, 1, 2))
    metrics.collect(lambda m: m.gauge("server.isLeader", next(seen)))
    for expected in (0, 1):
        shown = metrics.display(seconds(10 * (expected + 1)))["Gauges"]
        assert [(g["Name"], g["Value"]) for g in shown] == [("consul.once", 1), ("consul.server.isLeader", expected)]
    assert b"consul_server_isLeader 2\n" in metrics.prometheus()


def test_other_text_can_be_exposed() -> None:
    metrics = started()
    metrics.expose(lambda: "process_open_fds 3\n")
    assert metrics.prometheus().endswith(b"\nprocess_open_fds 3\n")


def test_gauges_carry_the_host_name_unless_disabled() -> None:  # G27
    metrics = started(hostname="box1", prefix="mesh")
    metrics.gauge("runtime.alloc_bytes", 5)
    metrics.incr("rpc.query")
    shown = metrics.display(START)
    assert shown["Gauges"][0]["Name"] == "mesh.box1.runtime.alloc_bytes"
    assert shown["Counters"][0]["Name"] == "mesh.rpc.query"
    assert b"\nmesh_box1_runtime_alloc_bytes 5\n" in metrics.prometheus()


@pytest.mark.parametrize(
    ("allow", "block", "default", "name", "shown"),
    [
        ((), (), True, "consul.raft.apply", True),
        ((), (), False, "consul.raft.apply", False),
        ((), ("consul.raft",), True, "consul.raft.apply", False),
        (("consul.raft.apply",), ("consul.raft",), True, "consul.raft.apply", True),
        (("consul.raft",), ("consul.raft.apply",), False, "consul.raft.apply", False),
        (("consul.raft",), ("consul.raft.apply",), False, "consul.raft.peers", True),
    ],
)
def test_the_longest_prefix_decides(
    allow: tuple[str, ...], block: tuple[str, ...], default: bool, name: str, shown: bool
) -> None:  # G27 prefix_filter
    metrics = started(allow=allow, block=block, filter_default=default)
    assert metrics.allowed(name) is shown
    metrics.incr(name.removeprefix("consul."))
    assert bool(metrics.display(START)["Counters"]) is shown
    assert (name.replace(".", "_").encode() + b" 1\n" in metrics.prometheus()) is shown


def test_stream_listeners_get_each_finished_interval_until_they_stop() -> None:  # A23
    metrics = started()
    seen: list[dict[str, object]] = []
    stop = metrics.subscribe(seen.append)
    metrics.incr("rpc.query")
    metrics.tick(seconds(10))
    stop()
    stop()
    metrics.tick(seconds(20))
    assert [s["Timestamp"] for s in seen] == ["2024-01-01 00:00:00 +0000 UTC"]


def test_prometheus_text_adds_up_over_intervals_and_mangles_names() -> None:  # A22
    metrics = started(prometheus_retention_s=60.0)
    labels = (("method", "GET"), ("path", 'a"b\\c\n'))
    for value in range(1, 101):
        metrics.sample("api.http", float(value), labels)
    metrics.incr("acl.token.cache_hit")
    metrics.tick(seconds(10))
    metrics.incr("acl.token.cache_hit", 2)
    metrics.incr("grpc-x/y=z w")
    text = metrics.prometheus().decode()
    assert "# TYPE consul_acl_token_cache_hit counter\nconsul_acl_token_cache_hit 3\n" in text
    assert 'consul_api_http{method="GET",path="a\\"b\\\\c\\n",quantile="0.5"} 50\n' in text
    assert 'quantile="0.99"} 99\n' in text
    assert 'consul_api_http_sum{method="GET",path="a\\"b\\\\c\\n"} 5050\n' in text
    assert 'consul_api_http_count{method="GET",path="a\\"b\\\\c\\n"} 100\n' in text
    assert "\nconsul_grpc_x_y_z_w 1\n" in text
    assert 'consul_txn_apply{quantile="0.5"} NaN\n' in text


def test_prometheus_forgets_what_was_not_touched_within_the_retention() -> None:  # G27
    metrics = started(prometheus_retention_s=20.0)
    metrics.incr("some.counter")
    for count in (10, 20):
        metrics.tick(seconds(count))
    assert b"consul_some_counter" in metrics.prometheus()
    metrics.tick(seconds(40))
    assert b"consul_some_counter" not in metrics.prometheus()


def test_prometheus_needs_a_retention_time() -> None:  # A22
    assert not Metrics().prometheus_enabled
    assert started(prometheus_retention_s=1.0).prometheus_enabled


def test_each_family_appears_once_in_the_text() -> None:
    metrics = started()
    for declared in DECLARED:
        if declared.kind == "gauge":
            metrics.gauge(declared.name, 1)
        elif declared.kind == "counter":
            metrics.incr(declared.name)
        else:
            metrics.sample(declared.name, 1)
    types = [line for line in metrics.prometheus().decode().splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types)) == len(DECLARED)


def test_every_name_consul_declares_is_declared() -> None:  # G42
    steps = json.loads(GOLDEN.read_text())["steps"]
    (names,) = [s["response"]["json"] for s in steps if s.get("compare") == "prometheus-names"]
    ours = {line.split()[2] for line in Metrics().prometheus().decode().splitlines() if line.startswith("# TYPE")}
    # go_ and process_ metrics describe the process; they are the daemon's to collect.
    assert {n for n in names if not n.startswith(("go_", "process_"))} - ours == set()


def test_many_equal_samples_count_as_so_many():
    one, many = Sampler("x", ()), Sampler("x", ())
    for _ in range(5):
        one.sample(2.0)
    many.sample_many(2.0, 5)
    many.sample_many(2.0, 0)
    assert many.summary() == one.summary()


def test_counters_that_nobody_holds_are_forgotten_when_they_are_shown_no_more():
    """Labels may be names that clients make up."""
    metrics = started(prometheus_retention_s=20.0)
    held = metrics.counter("held")
    held.incr()
    for number in range(100):
        metrics.incr("looked.up", 1, (("service", f"made-up-{number}"),), 3)
    assert len(metrics._counters) == 101
    for count in (10, 20, 30, 40, 50):
        metrics.tick(seconds(count))
    assert list(metrics._counters) == [("held", ())]
    held.incr()
    assert b"consul_held 2" in metrics.prometheus()


def test_a_level_moves():
    metrics = started()
    metrics.move("rpc.queries_blocking", 1)
    metrics.move("rpc.queries_blocking", 1)
    metrics.move("rpc.queries_blocking", -1)
    assert metrics._gauges["rpc.queries_blocking", ()] == 1
