"""The services and checks registered on this host, and what of it the catalog does not know yet.

Pure: no I/O, no tasks. Everyone who must act on a change (check runner, anti-entropy, files) is an `Observer`; everyone
who waits for one subscribes to `watches`. Topics: `("agent-service", id)`, `"agent-services"`, `"agent-checks"`.

`in_sync` of an entry says whether the catalog is known to hold its row; `sync.py` turns what is not into commands. The
agent's word counts (surface rows E1-E3), but two things flow back from the catalog: tags under `EnableTagOverride`, and
tagged addresses that servers give (`consul-...`).

Source: surface rows A10-A17, K5, K19, E1-E3, M2. What may change here: nothing that needs a file (`persist.py`) or the
catalog (`sync.py`). What is kept of a registration is in `registration.py`, its form in `definitions`.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from meshagent.agent.checks.status import CriticalCheck
from meshagent.agent.definitions import (
    CheckDefinition,
    ServiceDefinition,
    check_row,
    expand,
    lowest_free_port,
    sidecar_id,
    to_service_row,
)
from meshagent.agent.registration import (
    Gone,
    LocalCheck,
    LocalService,
    LocalSettings,
    Observer,
    Source,
    keep_reserved,
)
from meshagent.catalog.model import Check, Node, Service
from meshagent.catalog.watch import Watches
from meshagent.clock import Clock
from meshagent.errors import InternalError, NotFound

__all__ = ["Gone", "LocalCheck", "LocalService", "LocalSettings", "LocalState", "Observer", "Source"]


class LocalState:
    """All registrations of one agent. Ids are compared exactly, as Consul's agent does."""

    def __init__(
        self,
        *,
        node_name: str,
        datacenter: str,
        clock: Clock,
        settings: LocalSettings | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.node_name = node_name
        self.datacenter = datacenter
        self.settings = settings or LocalSettings()
        self.watches = Watches()
        self.services: dict[str, LocalService] = {}
        self.checks: dict[str, LocalCheck] = {}
        self.gone = Gone()
        self.node = Node(name=node_name, datacenter=datacenter)
        self.node_in_sync = False
        self._clock = clock
        self._rng = rng if rng is not None else random.Random()  # noqa: S311  only spreads load
        #: Merges central configuration into a registration (agent/central.py).
        self.central: Callable[[Service], Service] = lambda service: service
        self._observers: list[Observer] = []
        self._checks_of: dict[str, dict[str, LocalCheck]] = {}

    def observe(self, observer: Observer) -> None:
        """Tell `observer` of every later change."""
        self._observers.append(observer)

    def set_node(self, node: Node) -> None:
        """What the catalog should hold of this node itself: id, addresses, meta."""
        if node != self.node:
            self.node = node
            self.node_in_sync = False

    # --- services ----------------------------------------------------------------------------------------------

    def add_service(
        self,
        definition: ServiceDefinition,
        *,
        token: str = "",
        source: Source = "api",
        replace_existing_checks: bool = False,
    ) -> LocalService:
        """Register a service with its checks, and its sidecar with its own (surface rows A10, M2, M3).

        Checks of an earlier registration stay unless they are to be replaced; maintenance stays in any case.

        Raises:
            BadRequest: the definition is not valid, or no sidecar port is free.
            InternalError: a check runs commands and they are switched off.
        """
        definition.validate()
        registrations = expand(definition, sidecar_port=self._sidecar_port, token=token)
        for registration in registrations:
            for check in registration.checks:
                self.allow(check, source)
        parent = registrations[0].service.id
        for registration in registrations:
            given = registration.service
            nested_in = "" if given.id == parent else parent
            entry = self.put_service(to_service_row(given), token=given.token, source=source, sidecar_of=nested_in)
            if replace_existing_checks:
                keep = {check.id for check in registration.checks}
                for old in self.checks_of(given.id):
                    if old.check.check_id not in keep and old.definition is not None:
                        self.remove_check(old.check.check_id)
            for check in registration.checks:
                row = check_row(check, node=self.node_name, service=entry.service)
                self.put_check(row, check, token=check.token, source=source)
        return self.services[parent]

    def put_service(
        self, service: Service, *, token: str = "", source: Source = "api", sidecar_of: str = ""
    ) -> LocalService:
        """Register a service, or register it again under its id."""
        entry = LocalService(service, token, source, sidecar_of)
        old = self.services.get(service.id)
        if old is not None:
            entry.service = keep_reserved(service, old.service)
        self.services[service.id] = entry
        self._merge(entry)
        if self.gone.services.pop(service.id, None) is not None:
            for check_id in self.gone.checks_of.pop(service.id, ()):
                if check_id not in self.checks:
                    self.gone.checks[check_id] = token
        self._changed_service(service.id)
        for observer in self._observers:
            observer.service_added(entry)
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
        self._changed_service(service_id)
        for observer in self._observers:
            observer.service_removed(entry)
        sidecar = self.services.get(sidecar_id(service_id))
        if sidecar is not None and sidecar.sidecar_of == service_id:
            self.remove_service(sidecar.service.id)
        self.watches.flush()

    def checks_of(self, service_id: str) -> list[LocalCheck]:
        """The checks of a service by id; those of the node for ""."""
        return [entry for _, entry in sorted(self._checks_of.get(service_id, {}).items())]

    def _sidecar_port(self, service_id: str) -> int:
        """The port of a sidecar: the one it has if that is in the range, else the lowest that no service here uses."""
        low, high = self.settings.sidecar_min_port, self.settings.sidecar_max_port
        old = self.services.get(service_id)
        if old is not None and low <= old.service.port <= high:
            return old.service.port
        return lowest_free_port({entry.service.port for entry in self.services.values()}, low, high)

    # --- checks ------------------------------------------------------------------------------------------------

    def add_check(
        self, definition: CheckDefinition, *, service_id: str = "", token: str = "", source: Source = "api"
    ) -> LocalCheck:
        """Register a check of the node, or of a service (surface row A14).

        Raises:
            BadRequest: the definition is not valid.
            NotFound: the service is not registered.
            InternalError: it runs commands and they are switched off.
        """
        definition.validate()
        service_id = service_id or definition.service_id
        owner = self.services.get(service_id)
        if service_id and owner is None:
            raise NotFound(f'ServiceID "{service_id}" does not exist')
        self.allow(definition, source)
        definition = msgspec.structs.replace(
            definition,
            id=definition.id or definition.name,
            service_id=service_id,
            token=definition.token or token,
        )
        service = owner.service if owner is not None else None
        row = check_row(definition, node=self.node_name, service=service, standalone=True)
        return self.put_check(row, definition, token=definition.token, source=source)

    def allow(self, definition: CheckDefinition | None, source: Source) -> None:
        """Commands run only where the operator said so (surface row K10)."""
        if definition is None or not definition.runs_commands or self.settings.enable_script_checks:
            return
        if source == "api":
            raise InternalError(
                "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' "
                "to true"
            )
        if not self.settings.enable_local_script_checks:
            raise InternalError(
                "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or "
                "'enable_local_script_checks' to true"
            )

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
            entry.check = check = msgspec.structs.replace(
                check, status=old.check.status, output=old.check.output, exposed_port=old.check.exposed_port
            )
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
        self.watches.notify("agent-checks")
        for observer in self._observers:
            observer.check_added(entry)
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
            self.watches.flush()

    def expose_check(self, check_id: str, port: int) -> None:
        """A check goes through this port of a sidecar from now on; 0: it does not. Whoever says so flushes."""
        entry = self.check(check_id)
        if entry.check.exposed_port != port:
            entry.check = msgspec.structs.replace(entry.check, exposed_port=port)
            entry.in_sync = False
            self.watches.notify("agent-checks")

    def critical_checks(self) -> list[CriticalCheck]:
        """The checks that are critical now, as `checks.status.reap` wants them (surface row K4)."""
        return [
            CriticalCheck(
                entry.check.check_id,
                entry.check.service_id,
                entry.critical_since,
                entry.definition.deregister_critical_service_after,
            )
            for entry in self.checks.values()
            if entry.critical_since is not None and entry.definition is not None
        ]

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
        service = keep_reserved(entry.service, catalog)
        if service.enable_tag_override and service.tags != catalog.tags:
            service = msgspec.structs.replace(service, tags=catalog.tags)
        if service is not entry.service:
            entry.service = service
            self._changed_service(service_id)
            self.watches.flush()

    def merge_again(self, service_id: str) -> None:
        """Central configuration has changed: bring a registration up to date and have it synced."""
        entry = self.services[service_id]
        if self._merge(entry):
            entry.in_sync = False
            self._changed_service(service_id)
            for observer in self._observers:
                observer.service_added(entry)
            self.watches.flush()

    def _merge(self, entry: LocalService) -> bool:
        before = entry.service
        given = entry.registered
        row = self.central(given)
        entry.given_proxy = given.proxy if row is not given else None
        entry.service = row
        return row != before

    # --- inside ------------------------------------------------------------------------------------------------

    def _link(self, entry: LocalCheck) -> None:
        check = entry.check
        self.checks[check.check_id] = entry
        self._checks_of.setdefault(check.service_id, {})[check.check_id] = entry

    def _unlink(self, entry: LocalCheck) -> None:
        check = entry.check
        del self.checks[check.check_id]
        held = self._checks_of[check.service_id]
        del held[check.check_id]
        if not held:
            del self._checks_of[check.service_id]

    def _drop_check(self, entry: LocalCheck) -> None:
        self._unlink(entry)
        self.watches.notify("agent-checks")
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
        self.watches.notify("agent-checks")
        for observer in self._observers:
            observer.check_updated(entry)
        return True

    def _changed_service(self, service_id: str) -> None:
        self.watches.notify(("agent-service", service_id))
        self.watches.notify("agent-services")
