from meshtest.serfnet import Net

from meshagent.agent.gossip.pool_telemetry import PoolTelemetry
from meshagent.agent.gossip.serf_codec import encode
from meshagent.agent.gossip.serf_messages import KeyRequest
from meshagent.metrics import Metrics

LAN = (("network", "lan"),)


def test_what_was_counted_is_added_once() -> None:
    net = Net()
    a, _b = net.pool(2)
    metrics = Metrics()
    telemetry = PoolTelemetry(a.serf, metrics, LAN)
    for _ in range(2):
        telemetry.publish(0.0)
        assert metrics.counter("serf.member.join", LAN).events == 2
    a.do(lambda serf, now: serf.user_event("deploy", None, now))
    a.do(lambda serf, now: serf.user_message(encode(KeyRequest()), ("127.0.0.9", 1), now))
    telemetry.publish(1.0)
    assert metrics.counter("serf.events", LAN).events == 1
    assert metrics.counter("serf.dropped", (*LAN, ("reason", "malformed"))).events == 1


def test_levels_are_sampled_every_half_minute() -> None:
    net = Net()
    metrics = Metrics()
    telemetry = PoolTelemetry(net.peer("a").serf, metrics, LAN)
    for now in (0.0, 29.0, 30.0, 31.0):
        telemetry.publish(now)
    assert metrics.sampler("serf.queue.Intent", LAN).events == 2


def test_names_of_events_are_bounded() -> None:
    net = Net()
    metrics = Metrics()
    telemetry = PoolTelemetry(net.peer("a").serf, metrics, LAN)
    for number in range(300):
        telemetry.event(f"e{number}")
    telemetry.event("e0")
    assert metrics.counter("serf.events.e0", LAN).events == 2
    assert metrics.counter("serf.events.e299", LAN).events == 0
