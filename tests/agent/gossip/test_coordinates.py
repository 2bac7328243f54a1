"""Vivaldi against networks whose round trips are known, with serf's parameters."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.gossip.coordinates import Vivaldi, VivaldiSettings, is_usable
from meshagent.catalog.coordinates import distance_s
from meshagent.catalog.model import Coordinate
from meshagent.errors import RemoteProtocolError

PLAIN = VivaldiSettings(adjustment_window=0, height_min_s=0.0, gravity_rho_s=1e9)


def at(*vec: float, error: float = 1.5, height: float = 1e-5, adjustment: float = 0.0) -> Coordinate:
    return Coordinate(vec=(*vec, *[0.0] * (8 - len(vec))), error=error, height=height, adjustment=adjustment)


class TestOneStep:
    def test_too_near_is_pushed_away_by_half_the_weighted_difference(self) -> None:
        """Both equally unsure: weight 1/2, so a quarter of a half of the missing 100 ms."""
        here = Vivaldi(random.Random(1), PLAIN)
        here.update("b", at(0.1, height=0.0), 0.2)
        assert here.coordinate.vec[0] == pytest.approx(-0.25 * 0.5 * 0.1)
        assert here.coordinate.vec[1:] == (0.0,) * 7
        assert here.coordinate.error == pytest.approx(0.25 * 0.5 * 0.5 + 1.5 * (1 - 0.25 * 0.5))

    def test_too_far_is_pulled_near(self) -> None:
        here = Vivaldi(random.Random(1), PLAIN)
        here.update("b", at(0.3, height=0.0), 0.2)
        assert here.coordinate.vec[0] == pytest.approx(0.25 * 0.5 * 0.1)

    def test_the_surer_one_moves_less(self) -> None:
        moved = []
        for error in (0.1, 1.5):
            here = Vivaldi(random.Random(1), PLAIN)
            here.update("b", at(0.1, error=error, height=0.0), 0.2)
            moved.append(abs(here.coordinate.vec[0]))
        assert moved[0] > moved[1]

    def test_from_the_same_place_the_direction_is_drawn(self) -> None:
        here, there = (Vivaldi(random.Random(seed)) for seed in (1, 2))
        here.update("x", at(), 0.05)
        there.update("x", at(), 0.05)
        assert here.coordinate.vec != there.coordinate.vec
        assert math.hypot(*here.coordinate.vec) > 0

    def test_height_takes_its_share(self) -> None:
        here = Vivaldi(random.Random(1), VivaldiSettings(adjustment_window=0, gravity_rho_s=1e9))
        here.update("b", at(0.1, height=0.001), 0.2)
        force = 0.25 * 0.5 * (0.2 - 0.10101)
        assert here.coordinate.height == pytest.approx((1e-5 + 0.001) * force / 0.1 + 1e-5)

    def test_height_keeps_its_least(self) -> None:
        here = Vivaldi(random.Random(1))
        for _ in range(50):
            here.update("b", at(0.4), 0.001)
        assert here.coordinate.height == 1e-5

    def test_the_adjustment_is_the_halved_mean_residual(self) -> None:
        here = Vivaldi(random.Random(1), VivaldiSettings(gravity_rho_s=1e9, position_step=0.0))
        here.update("b", at(0.1), 0.2)
        assert here.coordinate.adjustment == pytest.approx((0.2 - 0.10002) / 40)

    def test_one_slow_packet_of_three_does_not_count(self) -> None:
        here, calm = Vivaldi(random.Random(1)), Vivaldi(random.Random(1))
        for rtt, same in ((0.1, 0.1), (0.1, 0.1), (9.0, 0.1)):
            here.update("b", at(0.05), rtt)
            calm.update("b", at(0.05), same)
        assert here.coordinate == calm.coordinate

    def test_a_node_that_left_starts_over(self) -> None:
        here = Vivaldi(random.Random(1))
        here.update("b", at(0.05), 0.1)
        here.update("b", at(0.05), 0.1)
        before = here.coordinate
        here.forget("b")
        here.update("b", at(0.05), 5.0)
        assert math.dist(before.vec, here.coordinate.vec) > 0.1

    def test_gravity_pulls_to_the_origin(self) -> None:
        free, bound = (Vivaldi(random.Random(1), VivaldiSettings(gravity_rho_s=rho)) for rho in (1e9, 5.0))
        for _ in range(200):
            free.update("b", at(0.5), 0.01)
            bound.update("b", at(0.5), 0.01)
        assert bound.coordinate.vec[0] < free.coordinate.vec[0]


class TestBadInput:
    @pytest.mark.parametrize(
        "other",
        [
            Coordinate(vec=(0.0,) * 7),
            Coordinate(vec=()),
            at(math.nan),
            at(math.inf),
            at(error=math.nan),
            at(height=-math.inf),
            at(adjustment=math.nan),
        ],
    )
    def test_a_coordinate_that_cannot_be(self, other: Coordinate) -> None:
        here = Vivaldi(random.Random(1))
        before = here.coordinate
        with pytest.raises(RemoteProtocolError):
            here.update("b", other, 0.1)
        assert here.coordinate is before

    @pytest.mark.parametrize("rtt", [-0.001, 10.001, math.nan, math.inf])
    def test_a_time_that_cannot_be(self, rtt: float) -> None:
        with pytest.raises(RemoteProtocolError):
            Vivaldi(random.Random(1)).update("b", at(), rtt)

    @given(
        st.lists(
            st.tuples(
                st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=8, max_size=8),
                st.floats(allow_nan=False, allow_infinity=False),
                st.floats(0, 10),
            ),
            max_size=20,
        )
    )
    def test_whatever_peers_claim_it_stays_usable(self, claims: list[tuple[list[float], float, float]]) -> None:
        here = Vivaldi(random.Random(1))
        for vec, other, rtt in claims:
            here.update("b", Coordinate(vec=tuple(vec), error=other, adjustment=other, height=other), rtt)
            assert is_usable(here.coordinate)

    def test_starting_over_is_counted(self) -> None:
        here = Vivaldi(random.Random(1))
        here.update("b", at(1e308, height=1e308, error=1e-300), 10.0)
        for _ in range(3):
            here.update("b", at(-1e308, height=1e308, error=1e-300), 10.0)
        assert here.resets > 0
        assert is_usable(here.coordinate)


def simulate(rtt: Callable[[int, int], float], count: int, cycles: int, noise: float = 0.0) -> tuple[float, float]:
    """Each node measures a random other in each cycle; (mean, worst) relative error of all predicted round trips."""
    rng = random.Random(7)
    nodes = [Vivaldi(random.Random(seed)) for seed in range(count)]
    for _ in range(cycles):
        for me, node in enumerate(nodes):
            other = rng.randrange(count)
            if other != me:
                measured = rtt(me, other) * (1 + noise * abs(rng.gauss(0, 1)))
                node.update(str(other), nodes[other].coordinate, measured)
    errors = []
    for a in range(count):
        for b in range(a):
            true = rtt(a, b)
            errors.append(abs(distance_s(nodes[a].coordinate, nodes[b].coordinate) - true) / true)
    return sum(errors) / len(errors), max(errors)


class TestNetworks:
    """The shapes of serf's own simulations, with its bounds or better."""

    def test_a_line(self) -> None:
        mean, worst = simulate(lambda a, b: abs(a - b) * 0.01, 10, 1000)
        assert mean < 0.02
        assert worst < 0.15

    def test_a_grid(self) -> None:
        def rtt(a: int, b: int) -> float:
            return 0.01 * math.dist(divmod(a, 5), divmod(b, 5))

        mean, worst = simulate(rtt, 25, 1000)
        assert mean < 0.02
        assert worst < 0.2

    def test_two_sites(self) -> None:
        mean, worst = simulate(lambda a, b: 0.001 if (a < 12) == (b < 12) else 0.011, 25, 1000)
        assert mean < 0.06
        assert worst < 0.4

    def test_a_circle_around_a_hub_needs_the_height(self) -> None:
        """The hub is twice as far from all as the centre of their circle is: no flat map has that."""

        def rtt(a: int, b: int) -> float:
            if 0 in (a, b):
                return 0.2
            return 0.2 * abs(math.sin(math.pi * (a - b) / 24))

        mean, worst = simulate(rtt, 25, 1000)
        assert mean < 0.05
        assert worst < 0.2

    def test_random_places_with_jitter(self) -> None:
        rng = random.Random(3)
        places = [[rng.random() for _ in range(2)] for _ in range(25)]

        def rtt(a: int, b: int) -> float:
            return 0.02 + 0.1 * math.dist(places[a], places[b])

        mean, _ = simulate(rtt, 25, 1000, noise=0.05)
        assert mean < 0.1

    def test_a_drift_of_all_is_held_back(self) -> None:
        """Nobody wanders: the centre of the cloud stays near the origin."""
        rng = random.Random(7)
        nodes = [Vivaldi(random.Random(seed)) for seed in range(10)]
        for _ in range(3000):
            for me, node in enumerate(nodes):
                other = rng.randrange(10)
                if other != me:
                    node.update(str(other), nodes[other].coordinate, 0.05 * abs(me - other) * (1 + rng.random() * 0.1))
        centre = [sum(node.coordinate.vec[axis] for node in nodes) / 10 for axis in range(8)]
        assert math.hypot(*centre) < 1.0

    def test_the_same_seed_gives_the_same_map(self) -> None:
        runs = {simulate(lambda a, b: abs(a - b) * 0.01, 6, 100) for _ in range(2)}
        assert len(runs) == 1
