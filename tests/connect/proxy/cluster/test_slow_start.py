"""A new instance gets more and more."""

from meshtest.clusters import World, endpoints, hosts

from meshagent.connect.proxy.cluster.policy import Choosing
from meshagent.connect.proxy.cluster.slow_start import LEAST_SHARE, ends, share


def test_the_share_grows_with_age() -> None:
    (host,) = hosts(1)
    host.since = 100.0
    assert [share(host, 10.0, at) for at in (100.0, 100.5, 105.0, 110.0, 500.0)] == [LEAST_SHARE, 0.1, 0.5, 1.0, 1.0]
    assert share(host, 0.0, 100.0) == 1.0


def test_when_it_ends() -> None:
    made = hosts(2)
    made[1].since = 95.0
    assert ends(made, 10.0, 100.0) == 105.0
    assert ends(made, 0.0, 100.0) == 100.0
    assert ends([], 10.0, 100.0) == 100.0


def test_a_host_that_joins_starts_slowly_and_those_of_the_first_snapshot_do_not() -> None:
    world = World(choosing=Choosing(slow_start_s=20.0))
    world.update(endpoints(2))
    assert set(world.picks(100).values()) == {50}
    world.now += 100
    world.update(endpoints(3))
    world.now += 2.0
    early = world.picks(2_100)["10.0.0.2:80"]
    assert 80 < early < 120, "a tenth of what the others get"
    world.now += 8.0
    assert 350 < world.picks(2_000)["10.0.0.2:80"] < 450
    world.now += 20.0
    assert set(world.picks(300).values()) == {100}, "and then all count alike"
