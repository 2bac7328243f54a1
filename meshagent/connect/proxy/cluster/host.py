"""One instance of an upstream as a proxy knows it: what the snapshot says, and what was seen of it.

Source: Envoy's architecture overview, "upstream host". What may change here: counts. The hot path touches `active` and
two or three others with plain attributes; so there are no properties on its way.
"""

from __future__ import annotations

import math
from typing import Any

from meshagent.connect.snapshot import Cluster, Endpoint

__all__ = ["Host", "HostKey", "key_of"]

#: (target, node, id, address, port): another one is another host.
HostKey = tuple[str, str, str, str, int]


def key_of(row: Cluster, endpoint: Endpoint) -> HostKey:
    """What makes an endpoint the same host in the next snapshot."""
    return row.target.id, endpoint.node, endpoint.id, endpoint.address, endpoint.port


class Host:
    """An instance. `pool` belongs to who sends requests, who also keeps `active`; `gone` tells that it left."""

    __slots__ = (
        "active",
        "address",
        "check_passes",
        "checked",
        "checks_failed",
        "checks_passed",
        "cluster",
        "consecutive_5xx",
        "consecutive_gateway",
        "ejected",
        "ejected_until",
        "ejections",
        "endpoint",
        "ewma_at",
        "ewma_s",
        "failed",
        "gone",
        "key",
        "place",
        "pool",
        "port",
        "requests",
        "seen_failed",
        "seen_requests",
        "since",
        "target",
        "unreached",
        "weight",
    )

    def __init__(self, row: Cluster, endpoint: Endpoint, since: float) -> None:
        """`since` is the monotonic second from which a slow start counts, -inf for none."""
        self.place = key_of(row, endpoint)
        self.address = endpoint.address
        self.port = endpoint.port
        #: "address:port": what hashing and people know it by.
        self.key = f"{endpoint.address}:{endpoint.port}"
        self.since = since
        self.pool: Any = None
        self.gone = False
        # --- traffic: requests (or connections) that are open, answered, and answered badly
        self.active = 0
        self.requests = 0
        self.failed = 0
        self.ewma_s = 0.0
        self.ewma_at = -math.inf
        # --- outlier detection
        self.consecutive_5xx = 0
        self.consecutive_gateway = 0
        #: Connections in a row that did not come about.
        self.unreached = 0
        self.seen_requests = 0
        self.seen_failed = 0
        self.ejected = False
        self.ejected_until = 0.0
        self.ejections = 0
        # --- active checks
        self.check_passes = True
        self.checked = False
        self.checks_passed = 0
        self.checks_failed = 0
        self.told(row, endpoint)

    def told(self, row: Cluster, endpoint: Endpoint) -> None:
        """Take up what a snapshot says now."""
        self.cluster = row
        #: The id of the target it belongs to, which may be one to fail over to.
        self.target = row.target.id
        self.endpoint = endpoint
        self.weight = endpoint.weight

    @property
    def usable(self) -> bool:
        """Whether it is neither ejected nor failing its active check."""
        return self.check_passes and not self.ejected

    def __repr__(self) -> str:
        return f"<Host {self.endpoint.id} {self.key}>"
