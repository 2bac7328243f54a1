"""What answers to active checks mean: an instance fails after some bad ones in a row, is back after some good ones.

An instance is usable until its checks fail, for the catalog says that it is healthy (Envoy waits for a first check);
the first answer alone decides.

Source: Envoy's architecture overview, "health checking". What may change here: nothing that is seen outside; who asks
is `health_prober.py`.
"""

from __future__ import annotations

from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.resilience import ActiveCheck

__all__ = ["answered"]


def answered(host: Host, settings: ActiveCheck, good: bool) -> bool:
    """Take up an answer: whether the host's standing changed."""
    first, host.checked = not host.checked, True
    if good:
        host.checks_passed += 1
        host.checks_failed = 0
        turn = not host.check_passes and (first or host.checks_passed >= settings.healthy)
    else:
        host.checks_failed += 1
        host.checks_passed = 0
        turn = host.check_passes and (first or host.checks_failed >= settings.unhealthy)
    if turn:
        host.check_passes = good
    return turn
