from __future__ import annotations

from meshagent.agent.gossip.drops import Drop
from meshagent.agent.gossip.telemetry import Telemetry
from meshagent.metrics import Metrics
from meshagent.metrics_names import DECLARED


def test_all_names_are_declared() -> None:
    metrics = Metrics()
    telemetry = Telemetry(metrics, (("network", "lan"),))
    for counter in (
        telemetry.alive,
        telemetry.suspect,
        telemetry.dead,
        telemetry.udp_received,
        telemetry.udp_sent,
        telemetry.tcp_accept,
        telemetry.tcp_connect,
        telemetry.tcp_sent,
        telemetry.degraded_probe,
        telemetry.degraded_timeout,
    ):
        counter.incr()
    telemetry.dropped(Drop.LABEL, 2)
    telemetry.health(1)
    telemetry.queue(1)
    telemetry.size("local", b"x")
    telemetry.size("remote", b"x")
    telemetry.gossiped(0.0)
    for what in ("probeNode", "pushPullNode"):
        telemetry.took(what, 0.1)
    declared = {row.name.replace(".", "_") for row in DECLARED}
    shown = {
        line.split("{")[0].removeprefix("consul_").removesuffix("_sum").removesuffix("_count")
        for line in metrics.prometheus().decode().splitlines()
        if 'network="lan"' in line
    }
    assert len(shown) > 15
    assert shown <= declared


def test_drops_are_told_apart() -> None:
    metrics = Metrics()
    telemetry = Telemetry(metrics)
    telemetry.dropped(Drop.LABEL)
    telemetry.dropped(Drop.LABEL, 2)
    telemetry.dropped(Drop.PLAIN)
    text = metrics.prometheus().decode()
    assert 'consul_memberlist_dropped{reason="label"} 3' in text
    assert 'consul_memberlist_dropped{reason="plain"} 1' in text
