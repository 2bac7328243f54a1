"""How many streams of proxies without an agent one server should have, so that all servers carry alike. Pure.

Source: surface row X4; developer.hashicorp.com/consul/docs/agent/config (`performance.enable_xds_load_balancing`) and
the telemetry page (`xds.server.idealStreamsMax`, `xds.server.streamDrained`): proxies shared out among the healthy
servers, and a tenth more. What may change here: how fast too many become fewer.
"""

from __future__ import annotations

import math

__all__ = ["drained", "ideal_streams"]

#: Of those that are too many, the share that is sent elsewhere at a time; one at least.
_SHARE = 0.1


def ideal_streams(proxies: int, servers: int) -> int:
    """The most that one of `servers` should have of the streams of `proxies`; 0 for any number."""
    if servers <= 1 or proxies <= 0:
        return 0
    return -(-proxies * 11 // (servers * 10))


def drained(streams: int, ideal: int) -> int:
    """How many of `streams` are sent elsewhere now."""
    return math.ceil((streams - ideal) * _SHARE) if 0 < ideal < streams else 0
