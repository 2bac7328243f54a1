"""The telemetry of a sidecar: counts of listeners that come and go; the rest: tests/e2e/test_sidecars_telemetry.py."""

from __future__ import annotations

import random

from meshagent.clock import Tasks, VirtualClock
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.timers import TimerWheel
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry.sidecar import SidecarTelemetry


async def test_what_a_listener_counted_stays_when_it_has_gone() -> None:
    clock, rng = VirtualClock(), random.Random(1)
    telemetry = SidecarTelemetry(clock, rng, Tasks(), Clusters(clock.monotonic, rng), Tallies())
    for number in range(3):
        manager = Manager("outbound", TimerWheel(clock.monotonic, lambda: None), rng)
        manager.on_refused(400, "bad")
        telemetry.managers.append(manager)
        assert telemetry.scene().refused_requests == (("bad", number + 1),)
        telemetry.retire(manager)
        telemetry.retire(manager)
        assert telemetry.scene().refused_requests == (("bad", number + 1),)
    assert telemetry.managers == [], "nothing is left of who has gone"
