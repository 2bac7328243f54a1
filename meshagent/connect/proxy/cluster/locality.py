"""Nearer instances first: a list of instances as groups by where they run.

Source: developer.hashicorp.com/consul/docs/manage-traffic/route-local (mode `failover`: same zone, then same region,
then elsewhere). What may change here: further modes of `PrioritizeByLocality`.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshagent.connect.snapshot import Endpoint

__all__ = ["FAILOVER", "by_locality"]

FAILOVER = "failover"


def by_locality(endpoints: Iterable[Endpoint], region: str, zone: str, mode: str) -> list[list[Endpoint]]:
    """Groups in order of preference, none of them empty. Without a mode or a region of one's own all are alike."""
    if mode != FAILOVER or not region:
        together = list(endpoints)
        return [together] if together else []
    groups: tuple[list[Endpoint], list[Endpoint], list[Endpoint]] = ([], [], [])
    for one in endpoints:
        near = 2 if one.region != region else 1 if not zone or one.zone != zone else 0
        groups[near].append(one)
    return [group for group in groups if group]
