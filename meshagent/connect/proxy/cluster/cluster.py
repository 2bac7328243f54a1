"""A cluster: the instances behind one resolver of one upstream, its failover targets behind them, and what was seen.

`pick` gives an instance; `result` tells what became of a try there (who tries keeps `host.active`). A snapshot's news
come by `update`: an instance that stays keeps its state. Work that is due in time (ejections that end, slow starts) is
done by the first `pick` after it, so nothing here needs a timer; the time of now is asked of who made the cluster.

Source: Envoy's architecture overview, "cluster manager", "load balancing"; surface rows M24, M25, M43, M75. What may
change here: only with the bench: `pick` and `result` are on the path of every request.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from meshagent.catalog.entries.service_resolver import HashPolicy
from meshagent.connect.proxy.cluster import active_checks
from meshagent.connect.proxy.cluster.breakers import Breakers
from meshagent.connect.proxy.cluster.hash_policies import Hashed, HashedRequest, hash_of
from meshagent.connect.proxy.cluster.hashing import hash64
from meshagent.connect.proxy.cluster.host import Host, HostKey, key_of
from meshagent.connect.proxy.cluster.outliers import Outliers
from meshagent.connect.proxy.cluster.policy import Choosing, Policy
from meshagent.connect.proxy.cluster.priorities import loads, panics
from meshagent.connect.proxy.cluster.slow_start import ends
from meshagent.connect.proxy.cluster.table import DEFAULT, Row
from meshagent.connect.proxy.cluster.weighted_random import drawn
from meshagent.connect.resilience import Resilience
from meshagent.connect.snapshot import Cluster as ClusterRow
from meshagent.connect.snapshot import Endpoint

__all__ = ["CONNECT_FAILED", "RESET", "TIMED_OUT", "Cluster", "ClusterSettings", "Event"]

#: Outcomes of a try that are no status (Envoy's local origin errors), and as which failure they count.
CONNECT_FAILED, TIMED_OUT, RESET = 1, 2, 3
_AS_STATUS = {CONNECT_FAILED: 503, TIMED_OUT: 504, RESET: 502}

#: Told of ejections, returns and failing checks: (what, host, reason).
Event = Callable[[str, Host, str], None]


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How a cluster is used."""

    row: Row = DEFAULT
    choosing: Choosing = field(default_factory=Choosing)
    hash_policies: tuple[HashPolicy, ...] = ()
    resilience: Resilience = field(default_factory=Resilience)


class Cluster:
    """The hosts in order of priority, and how one is picked."""

    def __init__(
        self,
        name: str,
        settings: ClusterSettings,
        now: Callable[[], float],
        rng: random.Random,
        on_event: Event = lambda *_: None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.breaker = Breakers(settings.resilience.limits)
        self.outliers = Outliers(settings.resilience.ejection, now())
        self._now = now
        self._rng = rng
        self._on_event = on_event
        #: What the services behind it speak, and what a new host's `pool` is; set by who makes it.
        self.protocol = ""
        self.pool_of: Callable[[Host], Any] = lambda _: None
        self._hosts: dict[HostKey, Host] = {}
        self._priorities: list[list[Host]] = []
        #: What takes the traffic: (percent up to here, policy); one of 100 where one priority takes all.
        self._shares: list[tuple[float, Policy]] = []
        self._only: Policy | None = None
        self._changed = True
        self._due = -math.inf
        self._new = True
        self._starting = False
        self._observe = settings.row.observe
        self._hashes = settings.row.hashes

    @property
    def hosts(self) -> list[Host]:
        """All of them, in order of priority."""
        return list(self._hosts.values())

    def host(self, key: HostKey) -> Host | None:
        """One of them."""
        return self._hosts.get(key)

    # --- what a snapshot says ----------------------------------------------------------------------------------

    def update(self, groups: list[list[tuple[ClusterRow, Endpoint]]], settings: ClusterSettings) -> list[Host]:
        """Take up instances by priority, and settings. Returns the hosts that left."""
        since = -math.inf if self._new else self._now()
        self._new = False
        hosts: dict[HostKey, Host] = {}
        priorities = []
        changed = settings != self.settings
        for group in groups:
            level = []
            for row, endpoint in group:
                key = key_of(row, endpoint)
                if key in hosts:
                    continue
                host = self._hosts.get(key)
                if host is None:
                    host = Host(row, endpoint, since)
                    host.pool = self.pool_of(host)
                else:
                    changed = changed or endpoint.weight != host.weight
                    host.told(row, endpoint)
                hosts[key] = host
                level.append(host)
            priorities.append(level)
        left = [host for key, host in self._hosts.items() if key not in hosts]
        for host in left:
            host.gone = True
            self.outliers.out -= host.ejected
        changed = changed or priorities != self._priorities
        self._hosts, self._priorities = hosts, priorities
        self.outliers.total = len(hosts)
        if settings != self.settings:
            self._told(settings)
        if changed:  # a snapshot mostly brings other news, and a table is dear to make
            self._rebuild()
        return left

    def _told(self, settings: ClusterSettings) -> None:
        self.settings = settings
        self.breaker.told(settings.resilience.limits)
        self.outliers.settings = settings.resilience.ejection
        self._observe = settings.row.observe
        self._hashes = settings.row.hashes
        if settings.resilience.check is None:
            for host in self._hosts.values():
                host.check_passes, host.checked = True, False

    # --- one request -------------------------------------------------------------------------------------------

    def pick(self, hash_key: int | None = None, exclude: Collection[Host] = ()) -> Host | None:
        """A host for one try, none of `exclude` if there is another one; None when no host is usable."""
        now = self._now()
        if now >= self._due:
            self._maintain(now)
        policy = self._only
        if policy is None:
            if not self._shares:
                return None
            policy = self._drawn()
        if exclude:
            other = self._other(hash_key, exclude)
            if other is not None:
                return other
        if hash_key is None:
            hash_key = self._rng.getrandbits(64) if self._hashes else 0
        return policy.pick(now, self._rng, hash_key)

    def result(self, host: Host, outcome: int, latency_s: float) -> None:
        """How a try ended: with an answer's status, or CONNECT_FAILED, TIMED_OUT, RESET."""
        host.requests += 1
        if outcome >= 500 or outcome in _AS_STATUS:
            now = self._now()
            status = _AS_STATUS.get(outcome, outcome)
            reason = self.outliers.failed(host, status, now, self._rng, reached=outcome != CONNECT_FAILED)
            if reason:
                self._on_event("ejected", host, reason)
                self._rebuild()
        elif host.consecutive_5xx or host.unreached:
            self.reached(host)
            host.consecutive_5xx = host.consecutive_gateway = host.unreached = 0
        if self._observe is not None:
            self._observe(host, self._now(), latency_s)

    def hash_of(self, request: HashedRequest) -> Hashed:
        """(what to pick by, a cookie to set) of a request."""
        policies = self.settings.hash_policies
        return hash_of(policies, request, self._rng) if policies else (None, "")

    def checked(self, host: Host, good: bool) -> None:
        """An active check of a host was answered."""
        settings = self.settings.resilience.check
        if settings is None or host.gone or not active_checks.answered(host, settings, good):
            return
        if good:
            host.since = self._now()
        self._on_event("check passes" if good else "check fails", host, "active health check")
        self._rebuild()

    def reached(self, host: Host) -> None:
        """A host that was ejected because it took no connections takes them."""
        if self.outliers.unreachable(host) and not host.gone:
            self.outliers.reached(host)
            self._on_event("returned", host, "it takes connections")
            self._rebuild()

    # --- inside ------------------------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        self._changed = True
        self._due = -math.inf

    def _maintain(self, now: float) -> None:
        hosts = self.hosts
        outliers = self.outliers
        for host in outliers.returned(hosts, now):
            self._changed = True
            self._on_event("returned", host, "its ejection is over")
        if now >= outliers.sweep_at:
            for host, reason in outliers.sweep(hosts, now, self._rng):
                self._changed = True
                self._on_event("ejected", host, reason)
        started = ends(hosts, self.settings.choosing.slow_start_s, now)
        starting = started > now
        if self._changed or starting != self._starting:
            self._make(now)
        self._starting = starting
        self._due = min(outliers.sweep_at, outliers.next_return(hosts), started if starting else math.inf)

    def _make(self, now: float) -> None:
        self._changed = False
        settings = self.settings
        usable = [[host for host in level if host.usable] for level in self._priorities]
        counts = [(len(good), len(level)) for good, level in zip(usable, self._priorities, strict=True)]
        panic = panics(counts, settings.resilience.panic_percent)
        load = loads(counts)
        if any(panic) and not any(load):  # nobody is usable: the first priority that has hosts
            load[panic.index(True)] = 100.0
        shares: list[tuple[float, Policy]] = []
        up_to = 0.0
        for at, percent in enumerate(load):
            hosts = self._priorities[at] if panic[at] else usable[at]
            if percent and hosts:
                up_to += percent
                shares.append((up_to, settings.row.make(hosts, settings.choosing, now, self._rng)))
        self._shares = shares
        self._only = shares[0][1] if len(shares) == 1 else None

    def _drawn(self) -> Policy:
        place = self._rng.random() * self._shares[-1][0]
        return next((policy for up_to, policy in self._shares if place < up_to), self._shares[-1][1])

    def _other(self, hash_: int | None, tried: Collection[Host]) -> Host | None:
        """The next one after a failure: of the first priority that has another one."""
        for level in self._priorities:
            left = [host for host in level if host.usable and host not in tried]
            if not left:
                continue
            if hash_ is None:
                return drawn(left, self._rng)
            salt = hash_.to_bytes(8, "little")  # the same other one each time (rendezvous hashing)
            return max(left, key=lambda host: hash64(salt + host.key.encode()))
        return None
