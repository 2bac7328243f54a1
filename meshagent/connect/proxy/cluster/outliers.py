"""Outlier detection: instances that fail are left alone for a while.

Three ways out: failures in a row, gateway failures in a row, and a success rate far below the others'. Out is for the
base time times how often it has happened; that number falls by one for each interval without an ejection. Never are
more out than the highest percentage allows; one of several may always go while that percentage is above 0.

Source: Envoy's architecture overview, "outlier detection" (`always_eject_one_host` for the last rule), and surface row
M75. Unlike Envoy's a host comes back when its time is over, not at the next interval; and one that is out because it
took no connections (its sidecar has not started yet) is back as soon as it takes one: `reprober.py` looks. What may
change here: a way out is a method with its count.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.resilience import Ejection

__all__ = ["GATEWAY_STATUSES", "Outliers"]

#: What a gateway answers for an instance it could not reach. A failed, reset or slow connection counts as one of them.
GATEWAY_STATUSES = frozenset({502, 503, 504})


class Outliers:
    """Who is out, of one cluster. `total` is how many hosts there are."""

    def __init__(self, settings: Ejection, now: float) -> None:
        self.settings = settings
        self.total = 0
        self.out = 0
        self.sweep_at = now + settings.interval_s
        #: Since the start, by way out; those that a percentage did not enforce are in `detected` only.
        self.detected = 0
        self.ejected_5xx = 0
        self.ejected_gateway = 0
        self.ejected_success_rate = 0
        self.overflow = 0

    @property
    def ejected(self) -> int:
        """Since the start."""
        return self.ejected_5xx + self.ejected_gateway + self.ejected_success_rate

    def failed(self, host: Host, status: int, now: float, rng: random.Random, *, reached: bool = True) -> str:
        """A request ended badly: why the host is ejected because of it, "" when it stays. `reached`: there was a
        connection."""
        settings = self.settings
        host.failed += 1
        host.unreached = 0 if reached else host.unreached + 1
        reason = ""
        if status in GATEWAY_STATUSES:
            host.consecutive_gateway += 1
            if host.consecutive_gateway >= settings.consecutive_gateway_failure:
                host.consecutive_gateway = 0
                if self._eject(host, settings.enforcing_consecutive_gateway_failure, now, rng):
                    self.ejected_gateway += 1
                    reason = f"{settings.consecutive_gateway_failure} gateway failures in a row"
        else:
            host.consecutive_gateway = 0
        host.consecutive_5xx += 1
        if host.consecutive_5xx >= settings.consecutive_5xx:
            host.consecutive_5xx = 0
            if self._eject(host, settings.enforcing_consecutive_5xx, now, rng):
                self.ejected_5xx += 1
                reason = f"{settings.consecutive_5xx} failures in a row"
        return reason

    def unreachable(self, host: Host) -> bool:
        """Whether a host is out because nobody took connections there: one that does is back at once."""
        settings = self.settings
        return host.ejected and host.unreached >= min(settings.consecutive_5xx, settings.consecutive_gateway_failure)

    def reached(self, host: Host) -> None:
        """Connections are taken there again: it is back, and its absence is not held against it."""
        host.ejected = False
        host.ejections = max(0, host.ejections - 1)
        host.consecutive_5xx = host.consecutive_gateway = host.unreached = 0
        self.out -= 1

    def _eject(self, host: Host, enforcing: int, now: float, rng: random.Random) -> bool:
        if host.ejected:
            return False
        self.detected += 1
        if enforcing < 100 and rng.random() * 100.0 >= enforcing:
            return False
        settings = self.settings
        most = settings.max_ejection_percent
        one_of_several = not self.out and self.total > 1 and most > 0
        if (self.out + 1) * 100 > most * self.total and not one_of_several:
            self.overflow += 1
            return False
        host.ejections += 1
        longest = max(settings.max_ejection_s, settings.base_ejection_s)
        host.ejected_until = now + min(settings.base_ejection_s * host.ejections, longest)
        host.ejected = True
        self.out += 1
        return True

    def returned(self, hosts: Iterable[Host], now: float) -> list[Host]:
        """Those whose time is over; they are usable again."""
        back = [host for host in hosts if host.ejected and now >= host.ejected_until]
        for host in back:
            host.ejected = False
            host.consecutive_5xx = host.consecutive_gateway = host.unreached = 0
        self.out -= len(back)
        return back

    def sweep(self, hosts: list[Host], now: float, rng: random.Random) -> list[tuple[Host, str]]:
        """An interval has ended: (host, why) for each that its success rate ejects."""
        self.sweep_at = now + self.settings.interval_s
        for host in hosts:
            if not host.ejected and host.ejections:
                host.ejections -= 1
        ejected = self._by_success_rate(hosts, now, rng)
        for host in hosts:
            host.seen_requests, host.seen_failed = host.requests, host.failed
        return ejected

    def _by_success_rate(self, hosts: list[Host], now: float, rng: random.Random) -> list[tuple[Host, str]]:
        settings = self.settings
        rates = []
        for host in hosts:
            count = host.requests - host.seen_requests
            if not host.ejected and count >= settings.success_rate_requests:
                rates.append((host, 100.0 * (1.0 - (host.failed - host.seen_failed) / count)))
        if len(rates) < settings.success_rate_hosts:
            return []
        mean = sum(rate for _, rate in rates) / len(rates)
        spread = math.sqrt(sum((rate - mean) ** 2 for _, rate in rates) / len(rates))
        bound = mean - spread * settings.success_rate_stdev_factor
        found = []
        for host, rate in rates:
            if rate < bound and self._eject(host, settings.enforcing_success_rate, now, rng):
                self.ejected_success_rate += 1
                found.append((host, f"a success rate of {rate:.1f} % while the mean is {mean:.1f} %"))
        return found

    def next_return(self, hosts: Iterable[Host]) -> float:
        """When the first comes back, infinity when none is out."""
        return min((host.ejected_until for host in hosts if host.ejected), default=math.inf)
