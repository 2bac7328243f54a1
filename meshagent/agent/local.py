"""The services and checks registered on this host, and what of it the catalog does not know yet.

Pure: no I/O, no tasks. Everyone who must act on a change (check runner, anti-entropy, files) is an `Observer`; everyone
who waits for one subscribes to `watches`. Topics: `("agent-service", id)`, `"agent-services"`, `"agent-checks"`.

Rows here are what the catalog should hold: `catalog.model` values with indexes 0. `in_sync` says whether the catalog is
known to hold them; `sync.py` turns what is not into commands. The agent's word counts (surface rows E1-E3), but two
things flow back from the catalog: tags under `EnableTagOverride`, and tagged addresses that servers give (`consul-...`).

Source: surface rows A10-A17, K5, K19, E1-E3, M2. What may change here: nothing that needs the definition of a
registration (that is `registration.py`), a file (`persist.py`) or the catalog (`sync.py`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from meshagent.agent import aliases
from meshagent.agent.definitions import CheckDefinition
from meshagent.catalog.model import Check, Node, Service, ServiceAddress
from meshagent.catalog.watch import Watches
from meshagent.clock import Clock
from meshagent.errors import NotFound

__all__ = ["Gone", "LocalCheck", "LocalService", "LocalSettings", "LocalState", "Observer", "Source", "sidecar_id"]

#: Where a registration came from: `config` ones are read from files again at every start, `api` ones are saved.
Source = Literal["api", "config"]

#: Meta keys and tagged addresses that begin so belong to the servers.
_RESERVED = "consul-"


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The options that concern this state; replaced as a whole on reload."""

    check_update_interval_s: float = 300.0
    discard_check_output: bool = False


@dataclass(slots=True, eq=False)
class LocalService:
    """One registered instance. `sidecar_of` is the id of the service it was nested in, or ""."""

    service: Service
    token: str = ""
    source: Source = "api"
    sidecar_of: str = ""
    in_sync: bool = False


@dataclass(slots=True, eq=False)
class LocalCheck:
    """One registered check. `definition` is None when nothing runs it (maintenance).

    `critical_since` is the monotonic second at which it became critical, None while it is not. `deferred_until` is the
    monotonic second at which an output that changed alone goes to the catalog (surface row K5).
    """

    check: Check
    definition: CheckDefinition | None = None
    token: str = ""
    source: Source = "api"
    in_sync: bool = False
    critical_since: float | None = None
    deferred_until: float | None = None


class Observer:
    """Someone told of every change right after it; each method does nothing unless overridden."""

    def service_added(self, entry: LocalService) -> None:
        """A service was registered, anew or again."""

    def service_removed(self, entry: LocalService) -> None:
        """A service was deregistered; its checks were removed before it."""

    def check_added(self, entry: LocalCheck) -> None:
        """A check was registered, anew or again (its status was carried over)."""

    def check_removed(self, entry: LocalCheck) -> None:
        """A check was deregistered."""

    def check_updated(self, entry: LocalCheck) -> None:
        """Status or output of a check changed."""


@dataclass(slots=True)
class Gone:
    """What the catalog must still forget: id -> token it was registered with."""

    services: dict[str, str] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)
    #: Checks that go with their service: they only matter if the service comes back before it was forgotten.
    checks_of: dict[str, list[str]] = field(default_factory=dict)


class LocalState:
    """All registrations of one agent. Ids are compared exactly, as Consul's agent does."""

    def __init__(
        self,
        *,
        node_name: str,
        datacenter: str,
        clock: Clock,
        settings: LocalSettings = LocalSettings(),
        rng: random.Random | None = None,
    ) -> None:
        self.node_name = node_name
        self.datacenter = datacenter
        self.settings = settings
        self.watches = Watches()
        self.services: dict[str, LocalService] = {}
        self.checks: dict[str, LocalCheck] = {}
        self.gone = Gone()
        self.node = Node(name=node_name, datacenter=datacenter)
        self.node_in_sync = False
        self._clock = clock
        self._rng = rng if rng is not None else random.Random()  # noqa: S311  only spreads load
        self._observers: list[Observer] = []
        self._checks_of: dict[str, dict[str, LocalCheck]] = {}
        self._aliases: dict[str, dict[str, LocalCheck]] = {}
        """Service that is looked at ("" = only the node) -> alias checks of this node, by id."""

    def observe(self, observer: Observer) -> None:
        """Tell `observer` of every later change."""
        self._observers.append(observer)

    def set_node(self, node: Node) -> None:
        """What the catalog should hold of this node itself: id, addresses, meta."""
        if node != self.node:
            self.node = node
            self.node_in_sync = False

    # --- services ----------------------------------------------------------------------------------------------

    def put_service(
        self, service: Service, *, token: str = "", source: Source = "api", sidecar_of: str = ""
    ) -> LocalService:
        """Register a service, or register it again under its id."""
        entry = LocalService(service, token, source, sidecar_of)
        old = self.services.get(service.id)
        if old is not None:
            entry.service = _keep_reserved(service, old.service)
        self.services[service.id] = entry
        if self.gone.services.pop(service.id, None) is not None:
            for check_id in self.gone.checks_of.pop(service.id, ()):
                if check_id not in self.checks:
                    self.gone.checks[check_id] = token
        self._notify(("agent-service", service.id), "agent-services")
        for observer in self._observers:
            observer.service_added(entry)
        self._refresh_aliases(service.id)
        self.watches.flush()
        return entry

    def remove_service(self, service_id: str) -> None:
        """Deregister a service, its checks, and the sidecar that was nested in it.

        Raises:
            NotFound: with the words of surface row A11.
        """
        entry = self.services.get(service_id)
        if entry is None:
            raise NotFound(
                f'Unknown service ID "{service_id}". Ensure that the service ID is passed, not the service name.'
            )
        checks = self.checks_of(service_id)
        for check in checks:
            self._drop_check(check)
        del self.services[service_id]
        self.gone.services[service_id] = entry.token
        self.gone.checks_of[service_id] = [check.check.check_id for check in checks]
        self._notify(("agent-service", service_id), "agent-services")
        for observer in self._observers:
            observer.service_removed(entry)
        sidecar = self.services.get(sidecar_id(service_id))
        if sidecar is not None and sidecar.sidecar_of == service_id:
            self.remove_service(sidecar.service.id)
        self._refresh_aliases(service_id)
        self.watches.flush()

    def checks_of(self, service_id: str) -> list[LocalCheck]:
        """The checks of a service by id; those of the node for ""."""
        return [entry for _, entry in sorted(self._checks_of.get(service_id, {}).items())]

    # --- checks ------------------------------------------------------------------------------------------------

    def put_check(
        self,
        check: Check,
        definition: CheckDefinition | None = None,
        *,
        token: str = "",
        source: Source = "api",
    ) -> LocalCheck:
        """Register a check, or register it again under its id.

        Status and output of an earlier registration of the same kind are carried over, so that registering again does
        not flap.

        Raises:
            NotFound: it belongs to a service that is not registered (surface row A14).
        """
        owner = None
        if check.service_id:
            owner = self.services.get(check.service_id)
            if owner is None:
                raise NotFound(f'ServiceID "{check.service_id}" does not exist')
        check = msgspec.structs.replace(
            check,
            node=self.node_name,
            service_name=owner.service.name if owner is not None else "",
            service_tags=owner.service.tags if owner is not None else (),
        )
        entry = LocalCheck(check, definition, token, source)
        old = self.checks.get(check.check_id)
        if old is not None and old.check.type == check.type:
            entry.check = check = msgspec.structs.replace(check, status=old.check.status, output=old.check.output)
            entry.critical_since = old.critical_since
        if old is not None:
            self._unlink(old)
        if check.status == "critical":
            if entry.critical_since is None:
                entry.critical_since = self._clock.monotonic()
        else:
            entry.critical_since = None
        self._link(entry)
        self.gone.checks.pop(check.check_id, None)
        self._notify("agent-checks", ("agent-service", check.service_id))
        for observer in self._observers:
            observer.check_added(entry)
        self._refresh_alias(entry)
        self._refresh_aliases(check.service_id)
        self.watches.flush()
        return entry

    def remove_check(self, check_id: str) -> None:
        """Deregister a check.

        Raises:
            NotFound: with the words of surface row A15.
        """
        entry = self.check(check_id)
        self._drop_check(entry)
        self.gone.checks[check_id] = entry.token
        self._refresh_aliases(entry.check.service_id)
        self.watches.flush()

    def check(self, check_id: str) -> LocalCheck:
        """The check of that id.

        Raises:
            NotFound: with the words of surface rows A15-A17.
        """
        entry = self.checks.get(check_id)
        if entry is None:
            raise NotFound(f'Unknown check ID "{check_id}". Ensure that the check ID is passed, not the check name.')
        return entry

    def update_check(self, check_id: str, status: str, output: str) -> None:
        """A result of a check. Unknown ids are ignored: the check was removed while it ran.

        A new status is to be synced at once. An output that changed alone waits, so that a chatty check does not
        write to the catalog all the time (surface row K5).
        """
        entry = self.checks.get(check_id)
        if entry is None:
            return
        if self._set_result(entry, status, output):
            self._refresh_aliases(entry.check.service_id)
            self.watches.flush()

    def due_deregistrations(self, now: float) -> list[LocalCheck]:
        """Checks that have been critical longer than their service may be (surface row K4), one for each service."""
        due: dict[str, LocalCheck] = {}
        for entry in self.checks.values():
            service_id = entry.check.service_id
            if entry.critical_since is None or not service_id or entry.definition is None:
                continue
            after_s = entry.definition.deregister_after_s
            if after_s > 0 and now - entry.critical_since > after_s:
                due.setdefault(service_id, entry)
        return list(due.values())

    # --- what the catalog must still learn ---------------------------------------------------------------------

    @property
    def synced(self) -> bool:
        """Whether nothing waits to be written to the catalog (outputs that are deferred do not count)."""
        return (
            self.node_in_sync
            and not self.gone.services
            and not self.gone.checks
            and all(service.in_sync for service in self.services.values())
            and all(check.in_sync for check in self.checks.values())
        )

    def release_deferred(self, now: float) -> float | None:
        """Let deferred outputs out whose time has come; return when the next one is due, or None."""
        following: float | None = None
        for entry in self.checks.values():
            if entry.deferred_until is None:
                continue
            if entry.deferred_until <= now:
                entry.deferred_until = None
                entry.in_sync = False
            elif following is None or entry.deferred_until < following:
                following = entry.deferred_until
        return following

    def take_back(self, service_id: str, catalog: Service) -> None:
        """Take from a catalog row what the catalog decides: tags if the registration says so, reserved addresses."""
        entry = self.services[service_id]
        service = _keep_reserved(entry.service, catalog)
        if service.enable_tag_override and service.tags != catalog.tags:
            service = msgspec.structs.replace(service, tags=catalog.tags)
        if service is not entry.service:
            entry.service = service
            self._notify(("agent-service", service_id), "agent-services")
            self.watches.flush()

    # --- inside ------------------------------------------------------------------------------------------------

    def _link(self, entry: LocalCheck) -> None:
        check = entry.check
        self.checks[check.check_id] = entry
        self._checks_of.setdefault(check.service_id, {})[check.check_id] = entry
        if entry.definition is not None and self.is_local_alias(entry):
            self._aliases.setdefault(entry.definition.alias_service, {})[check.check_id] = entry

    def _unlink(self, entry: LocalCheck) -> None:
        check = entry.check
        del self.checks[check.check_id]
        _discard(self._checks_of, check.service_id, check.check_id)
        if entry.definition is not None:
            _discard(self._aliases, entry.definition.alias_service, check.check_id)

    def _drop_check(self, entry: LocalCheck) -> None:
        self._unlink(entry)
        self._notify("agent-checks", ("agent-service", entry.check.service_id))
        for observer in self._observers:
            observer.check_removed(entry)

    def _set_result(self, entry: LocalCheck, status: str, output: str) -> bool:
        """Write a result into an entry; whether anything changed."""
        if self.settings.discard_check_output:
            output = ""
        old = entry.check
        if old.status == status and old.output == output:
            return False
        now = self._clock.monotonic()
        entry.check = msgspec.structs.replace(old, status=status, output=output)
        if status != "critical":
            entry.critical_since = None
        elif entry.critical_since is None:
            entry.critical_since = now
        interval_s = self.settings.check_update_interval_s
        if status == old.status and interval_s > 0:
            if entry.deferred_until is None and entry.in_sync:
                entry.deferred_until = now + interval_s / 2 + self._rng.uniform(0, interval_s)
        else:
            entry.in_sync = False
            entry.deferred_until = None
        self._notify("agent-checks", ("agent-service", old.service_id))
        for observer in self._observers:
            observer.check_updated(entry)
        return True

    def _refresh_aliases(self, service_id: str) -> None:
        """Recompute the alias checks that look at a service ("" = this node), and those that look at them.

        Aliases may look at each other; each is recomputed at most as often as there are aliases, then it rests until
        the next change or the minute's tick.
        """
        changed = {service_id}
        for _ in range(sum(map(len, self._aliases.values()))):
            targets = list(self._aliases) if "" in changed else [name for name in changed if name in self._aliases]
            watching = [entry for name in targets for entry in self._aliases[name].values()]
            changed = {entry.check.service_id for entry in watching if self._refresh_alias(entry)}
            if not changed:
                return

    def refresh_aliases(self) -> None:
        """Recompute every alias check that looks at this node (surface row K19: each minute)."""
        self._refresh_aliases("")
        self.watches.flush()

    def is_local_alias(self, entry: LocalCheck) -> bool:
        """Whether a check is an alias of something on this node."""
        definition = entry.definition
        return (
            definition is not None
            and definition.kind == "alias"
            and (not definition.alias_node or definition.alias_node.lower() == self.node_name.lower())
        )

    def _refresh_alias(self, entry: LocalCheck) -> bool:
        if entry.definition is None or not self.is_local_alias(entry):
            return False
        service_id = entry.definition.alias_service
        seen = [*self.checks_of(""), *(self.checks_of(service_id) if service_id else ())]
        known = not service_id or service_id in self.services
        rows = (other.check for other in seen if other is not entry)
        return self._set_result(entry, *aliases.judge(rows, service_id, known=known, node=self.node_name))

    def _notify(self, *topics: str | tuple[str, str]) -> None:
        for topic in topics:
            self.watches.notify(topic)


def _keep_reserved(service: Service, holder: Service) -> Service:
    """`service` with the tagged addresses of `holder` that servers gave it; the same object if nothing changes."""
    given = {name: value for name, value in (holder.tagged_addresses or {}).items() if name.startswith(_RESERVED)}
    have: dict[str, ServiceAddress] = service.tagged_addresses or {}
    if all(have.get(name) == value for name, value in given.items()):
        return service
    return msgspec.structs.replace(service, tagged_addresses={**have, **given})


def sidecar_id(service_id: str) -> str:
    """The fixed id of a nested sidecar (surface row M2)."""
    return f"{service_id}-sidecar-proxy"


def _discard(table: dict[str, dict[str, LocalCheck]], key: str, check_id: str) -> None:
    held = table.get(key)
    if held is not None:
        held.pop(check_id, None)
        if not held:
            del table[key]
