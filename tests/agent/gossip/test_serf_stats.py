from meshtest.serfnet import Net

from meshagent.agent.gossip.serf_stats import serf_stats


def test_facts_for_operators() -> None:
    net = Net()
    a, _b, c = net.pool(3)
    c.up = False
    net.until(lambda: serf_stats(a.serf, encrypted=False)["failed"] == "1")
    stats = serf_stats(a.serf, encrypted=True)
    assert (stats["members"], stats["left"], stats["encrypted"]) == ("3", "0", "true")
    assert int(stats["member_time"]) > 1
    assert all(isinstance(value, str) for value in stats.values())
