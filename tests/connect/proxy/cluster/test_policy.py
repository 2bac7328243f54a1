"""When the cheap way will do."""

from meshtest.clusters import hosts

from meshagent.connect.proxy.cluster.policy import Choosing


def test_equal_weights_and_nobody_starting() -> None:
    assert Choosing().even(hosts(3), 0.0)
    assert not Choosing().even(hosts(2, 1, 2), 0.0)
    made = hosts(2)
    made[0].since = 100.0
    assert Choosing().even(made, 101.0)
    assert not Choosing(slow_start_s=10.0).even(made, 101.0)
    assert Choosing(slow_start_s=10.0).even(made, 110.0)
