"""Nearer instances first."""

from meshagent.connect.proxy.cluster.locality import FAILOVER, by_locality
from meshagent.connect.snapshot import Endpoint


def at(name: str, region: str = "", zone: str = "") -> Endpoint:
    return Endpoint(name, "n", "10.0.0.1", 1, region=region, zone=zone)


ALL = [at("far", "us", "1"), at("near", "eu", "2"), at("here", "eu", "1"), at("unknown")]


def ids(groups: list[list[Endpoint]]) -> list[list[str]]:
    return [[one.id for one in group] for group in groups]


def test_zone_then_region_then_elsewhere() -> None:
    assert ids(by_locality(ALL, "eu", "1", FAILOVER)) == [["here"], ["near"], ["far", "unknown"]]


def test_without_a_zone_the_region_decides() -> None:
    assert ids(by_locality(ALL, "eu", "", FAILOVER)) == [["near", "here"], ["far", "unknown"]]


def test_without_a_mode_or_a_place_of_ones_own_all_are_alike() -> None:
    together = [["far", "near", "here", "unknown"]]
    assert ids(by_locality(ALL, "eu", "1", "")) == together
    assert ids(by_locality(ALL, "", "", FAILOVER)) == together


def test_empty_groups_are_none() -> None:
    assert by_locality([], "eu", "1", FAILOVER) == []
    assert by_locality([], "", "", "") == []
    assert ids(by_locality(ALL[:1], "eu", "1", FAILOVER)) == [["far"]]
