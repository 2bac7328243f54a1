"""`service-resolver`: subsets, redirect, failover and load balancing of a service.

Source: surface row M25; developer.hashicorp.com/consul/docs/connect/config-entries/service-resolver. What may change
here: fields are added with a default.
"""

from __future__ import annotations

import re

from meshagent.catalog.entries.entry import Entry, GoDuration, Nanoseconds, Part, required
from meshagent.catalog.entries.experiments import Fault, Mirror
from meshagent.durations import parse_duration
from meshagent.errors import MeshError

__all__ = ["Failover", "FailoverTarget", "LoadBalancer", "Redirect", "ServiceResolver", "Subset"]

_SUBSET = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_POLICIES = ("", "random", "round_robin", "least_request", "ring_hash", "maglev")
_HASHING = frozenset({"ring_hash", "maglev"})
_HASH_FIELDS = frozenset({"header", "cookie", "query_parameter"})


class Subset(Part, frozen=True, kw_only=True):
    """Instances that a filter selects; an empty filter selects all."""

    filter: str = ""
    only_passing: bool = False


class Redirect(Part, frozen=True, kw_only=True):
    """Another service to stand in."""

    service: str = ""
    service_subset: str = ""
    namespace: str = ""
    partition: str = ""
    datacenter: str = ""
    peer: str = ""
    sameness_group: str = ""

    def problem(self) -> str:
        if not any((self.service, self.service_subset, self.datacenter, self.peer)):
            return "Redirect is empty"
        if not self.service and self.service_subset:
            return "Redirect.ServiceSubset defined without Redirect.Service"
        if self.peer and self.datacenter:
            return "Redirect.Peer cannot be set with Redirect.Datacenter"
        if self.peer and self.service_subset:
            return "Redirect.Peer cannot be set with Redirect.ServiceSubset"
        return ""


class FailoverTarget(Part, frozen=True, kw_only=True):
    """One place to fail over to."""

    service: str = ""
    service_subset: str = ""
    partition: str = ""
    namespace: str = ""
    datacenter: str = ""
    peer: str = ""


class FailoverPolicy(Part, frozen=True, kw_only=True):
    """Order of failover by locality (Enterprise; kept, without effect)."""

    mode: str = ""
    regions: tuple[str, ...] = ()


class Failover(Part, frozen=True, kw_only=True):
    """Where to go when no instance is healthy: one service in several datacenters, or a list of targets."""

    service: str = ""
    service_subset: str = ""
    namespace: str = ""
    datacenters: tuple[str, ...] = ()
    targets: tuple[FailoverTarget, ...] = ()
    policy: FailoverPolicy | None = None
    sameness_group: str = ""

    def problem(self) -> str:
        if not any((self.service, self.service_subset, self.namespace, self.targets, self.datacenters)):
            return ": one of Service, ServiceSubset, Namespace, Targets, SamenessGroup, or Datacenters is required"
        if self.targets:
            for field, value in (
                ("Datacenters", self.datacenters),
                ("ServiceSubset", self.service_subset),
                ("Service", self.service),
            ):
                if value:
                    return f": Targets cannot be set with {field}"
        if "" in self.datacenters:
            return ".Datacenters: found empty datacenter"
        for at, target in enumerate(self.targets):
            if target.peer and target.service_subset:
                return f".Targets[{at}]: Peer cannot be set with ServiceSubset"
            if target.peer and target.datacenter:
                return f".Targets[{at}]: Peer cannot be set with Datacenter"
        return ""


class RingHashConfig(Part, frozen=True, kw_only=True):
    """Sizes of the ring."""

    minimum_ring_size: int = 0
    maximum_ring_size: int = 0


class LeastRequestConfig(Part, frozen=True, kw_only=True):
    """How many hosts are looked at."""

    choice_count: int = 0


class CookieConfig(Part, frozen=True, kw_only=True):
    """A cookie the proxy makes."""

    session: bool = False
    ttl: Nanoseconds = 0
    path: str = ""


class HashPolicy(Part, frozen=True, kw_only=True):
    """What of a request is hashed."""

    field: str = ""
    field_value: str = ""
    cookie_config: CookieConfig | None = None
    source_ip: bool = False
    terminal: bool = False

    def problem(self) -> str:
        if self.source_ip:
            return f'A single hash policy cannot hash both a source address and a "{self.field}"' if self.field else ""
        if self.field not in _HASH_FIELDS:
            return f'"{self.field}" is not a supported field'
        if not self.field_value:
            return f'Field "{self.field}" was specified without a FieldValue'
        cookie = self.cookie_config
        if cookie is not None and self.field != "cookie":
            return f'cookie_config provided for "{self.field}"'
        if cookie is not None and cookie.session and cookie.ttl:
            return "a session cookie cannot have an associated TTL"
        return ""


class LoadBalancer(Part, frozen=True, kw_only=True):
    """How a proxy picks an instance."""

    policy: str = ""
    ring_hash_config: RingHashConfig | None = None
    least_request_config: LeastRequestConfig | None = None
    hash_policies: tuple[HashPolicy, ...] = ()

    def problem(self) -> str:
        policy = self.policy
        if policy not in _POLICIES:
            return f'Bad LoadBalancer policy: "{policy}" is not supported'
        wrong = "Bad LoadBalancer configuration. {} specified for incompatible load balancing policy"
        if policy != "ring_hash" and self.ring_hash_config is not None:
            return wrong.format("RingHashConfig") + f' "{policy}"'
        if policy != "least_request" and self.least_request_config is not None:
            return wrong.format("LeastRequestConfig") + f' "{policy}"'
        if policy not in _HASHING and self.hash_policies:
            return f'Bad LoadBalancer configuration. HashPolicies specified for non-hash-based Policy: "{policy}"'
        for at, hashed in enumerate(self.hash_policies):
            found = hashed.problem()
            if found:
                return f"Bad LoadBalancer HashPolicy[{at}]: {found}"
        return ""


class PrioritizeByLocality(Part, frozen=True, kw_only=True):
    """Nearer instances first: mode `failover` (Enterprise in Consul)."""

    mode: str = ""


class ServiceResolver(Entry, frozen=True, kw_only=True, tag="service-resolver"):
    """How the service `name` becomes instances."""

    default_subset: str = ""
    subsets: dict[str, Subset] | None = None
    redirect: Redirect | None = None
    failover: dict[str, Failover] | None = None
    connect_timeout: GoDuration = ""
    request_timeout: GoDuration = ""
    load_balancer: LoadBalancer | None = None
    prioritize_by_locality: PrioritizeByLocality | None = None
    #: Ours, for requests that come here by no split and whose route says nothing of its own.
    mirror: Mirror | None = None
    fault: Fault | None = None

    def has_subset(self, name: str) -> bool:
        """Whether a subset exists; the unnamed one always does."""
        return not name or name in (self.subsets or {})

    def problem(self) -> str:
        return (
            required(self.name)
            or self._subset_problem()
            or self._redirect_problem()
            or self._failover_problem()
            or _timeout_problem("ConnectTimeout", self.connect_timeout)
            or _timeout_problem("RequestTimeout", self.request_timeout)
            or (self.load_balancer.problem() if self.load_balancer is not None else "")
            or self._experiment_problem()
        )

    def _subset_problem(self) -> str:
        for name, subset in sorted((self.subsets or {}).items()):
            if not name:
                return "Subset defined with empty name"
            if not _SUBSET.match(name):
                return (
                    f'Subset "{name}" is invalid: must be 63 characters or fewer, begin or end with lower case '
                    "alphanumeric characters, and contain lower case alphanumeric characters or '-' in between"
                )
            found = _filter_problem(subset.filter)
            if found:
                return f'Filter for subset "{name}" is not a valid expression: {found}'
        if not self.has_subset(self.default_subset):
            return f'DefaultSubset "{self.default_subset}" is not a valid subset'
        return ""

    def _redirect_problem(self) -> str:
        redirect = self.redirect
        if redirect is None:
            return ""
        if self.failover:
            return "Redirect and Failover cannot both be set"
        own = redirect.service == self.name and not redirect.datacenter
        if own and not self.has_subset(redirect.service_subset):
            return f'Redirect.ServiceSubset "{redirect.service_subset}" is not a valid subset of "{redirect.service}"'
        return redirect.problem()

    def _failover_problem(self) -> str:
        for subset, failover in sorted((self.failover or {}).items()):
            if subset != "*" and not self.has_subset(subset):
                return f'Bad Failover["{subset}"]: not a valid subset subset'
            found = failover.problem()
            if not found and failover.service in {"", self.name} and not self.has_subset(failover.service_subset):
                found = f'.ServiceSubset "{failover.service_subset}" is not a valid subset of "{self.name}"'
            if found:
                return f'Bad Failover["{subset}"]{found}'
        return ""

    def _experiment_problem(self) -> str:
        for experiment in (self.mirror, self.fault):
            found = experiment.problem() if experiment is not None else ""
            if found:
                return found.strip()
        return ""

    def related(self) -> frozenset[str]:
        names = {self.redirect.service} if self.redirect is not None else set()
        if self.mirror is not None:
            names.add(self.mirror.service)
        for failover in (self.failover or {}).values():
            names.add(failover.service)
            names.update(target.service for target in failover.targets if not target.peer)
        return frozenset(names - {"", self.name})


def _filter_problem(expression: str) -> str:
    if not expression:
        return ""
    from meshagent.catalog.filters import compile_filter  # with re2: only where a filter is used

    try:
        compile_filter(expression, "service_entry")
    except MeshError as error:
        return str(error).removeprefix("Failed to create boolean expression evaluator: ")
    return ""


def _timeout_problem(field: str, value: str) -> str:
    return f"Bad {field} '{value}', must be >= 0" if value and parse_duration(value) < 0 else ""
