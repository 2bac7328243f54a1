"""The load-balancing policies, a row each.

Source: surface row M25 (`LoadBalancer` of a resolver) and issue "load balancing" for `peak_ewma`, which is ours and is
chosen by `load_balancing_policy` of an upstream's configuration. What may change here: a row adds a policy; its module
has a `make` and a test of its statistics.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from meshagent.connect.proxy.cluster import (
    least_request,
    maglev,
    peak_ewma,
    ring_hash,
    round_robin,
    weighted_random,
)
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.policy import Choosing, Policy

__all__ = ["DEFAULT", "POLICIES", "Row", "row_of"]

Make = Callable[[list[Host], Choosing, float, random.Random], Policy]
Observe = Callable[[Host, float, float], None]


@dataclass(frozen=True, slots=True)
class Row:
    """A policy: how it is made, whether it needs a hash of the request, what it wants to know of latency."""

    name: str
    help: str
    make: Make
    hashes: bool = False
    observe: Observe | None = None


_ROWS = (
    Row("round_robin", "each in turn, by weight", round_robin.make),
    Row("least_request", "of `ChoiceCount` drawn ones the least busy", least_request.make),
    Row("random", "chance by weight", weighted_random.make),
    Row("ring_hash", "by a hash of the request, on a ring", ring_hash.make, hashes=True),
    Row("maglev", "by a hash of the request, in a table", maglev.make, hashes=True),
    Row("peak_ewma", "of two the one with less latency and load", peak_ewma.make, observe=peak_ewma.observe),
)
POLICIES = {row.name: row for row in _ROWS}
#: Envoy's, and so what Consul's users have when they say nothing.
DEFAULT = POLICIES["round_robin"]


def row_of(*names: str) -> Row:
    """The first of these policies that there is, else the default."""
    return next((POLICIES[name] for name in names if name in POLICIES), DEFAULT)
