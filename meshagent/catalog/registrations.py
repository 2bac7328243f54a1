"""The tables of nodes, instances and checks, with the indexes that reads need.

Source: surface rows O1-O5, CT1, CT2, E4, M5, C11; developer.hashicorp.com/consul/api-docs/catalog. Names of nodes,
services and tags compare without regard to case; rows keep the spelling they came with. A write that changes nothing
keeps every index. What a read depends on is kept as the index of the last change of a topic:

=====================  ==================================================================
topic                  changes with
=====================  ==================================================================
nodes                  any node row
services               any instance row
checks                 any check row
(service, s)           an instance of s, or the node row under one
(service-health, s)    (service, s), checks of s, node checks under an instance of s
(service-checks, s)    checks of s
(connect, s)           a proxy for s or a native instance of s
(node, n)              the row of n, an instance on n
(node-checks, n)       a check on n
(check-state, x)       a check that enters or leaves state x
(address, a)           a node or instance with address a comes or goes
=====================  ==================================================================

All keys in topics are lower case.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

import msgspec

from meshagent.catalog import commands
from meshagent.catalog.mesh_services import TOPIC as MESH_SERVICES
from meshagent.catalog.model import Check, Node, Service, ServiceAddress, ServiceEntry
from meshagent.catalog.undo import Undo
from meshagent.catalog.virtual_ips import VirtualIPs
from meshagent.catalog.watch import Topic, Watches
from meshagent.errors import InternalError

__all__ = ["Registrations", "connect_name"]

InstanceKey = tuple[str, str]


def connect_name(service: Service) -> str | None:
    """The service that this instance gives mesh access to, or None."""
    if service.kind == "connect-proxy":
        return service.proxy.destination_service_name
    if service.connect.native:
        return service.name
    return None


class Registrations:
    """Everything that is registered in one datacenter.

    `check_down(node, check id, index)` is told of every check that is critical or goes, `node_gone(node, index)` of
    every node that goes (lower-case names): sessions hang on them.
    """

    def __init__(
        self,
        watches: Watches,
        undo: Undo,
        check_down: Callable[[str, str, int], None],
        node_gone: Callable[[str, int], None],
        named_elsewhere: Callable[[str], bool],
        virtual_ips: VirtualIPs | None = None,
    ) -> None:
        """`named_elsewhere` says whether an entry names a service (lower case): its virtual address stays then.
        Without `virtual_ips` there is a pool of its own."""
        self._watches = watches
        self._undo = undo
        self._check_down = check_down
        self._node_gone = node_gone
        self._named_elsewhere = named_elsewhere
        self.nodes: dict[str, Node] = {}
        self.services: dict[InstanceKey, Service] = {}
        self.checks: dict[InstanceKey, Check] = {}
        self.virtual_ips = VirtualIPs() if virtual_ips is None else virtual_ips
        self.changed: dict[Topic, int] = {}
        """Topic -> index of its last change."""
        self.service_extinction = 0
        """Index at which a service last lost its last instance."""
        self.gone_nodes: dict[str, int] = {}
        """Tombstones of nodes: lower name -> index."""
        # Secondary indexes, all derived from the rows above.
        self._node_ids: dict[str, str] = {}
        self._on_node: dict[str, dict[str, Service]] = {}
        self._checks_on: dict[InstanceKey, dict[str, Check]] = {}
        self._by_name: dict[str, set[InstanceKey]] = {}
        self._by_connect: dict[str, set[InstanceKey]] = {}
        self._node_addresses: dict[str, set[str]] = {}
        self._service_addresses: dict[str, set[InstanceKey]] = {}
        # Memoised reads; an entry is dropped when a row under it changes.
        self._entries: dict[InstanceKey, ServiceEntry] = {}
        self._bare: dict[InstanceKey, ServiceEntry] = {}
        self._sorted: dict[tuple[bool, str], tuple[InstanceKey, ...]] = {}

    # --- reads -------------------------------------------------------------------------------------------------

    def node(self, name_or_id: str) -> Node | None:
        """The node of that name (without regard to case) or id."""
        key = name_or_id.lower()
        found = self.nodes.get(key)
        if found is None and key in self._node_ids:
            found = self.nodes[self._node_ids[key]]
        return found

    def on_node(self, node: str) -> list[Service]:
        """The instances on a node, by id."""
        on_node = self._on_node.get(node.lower(), {})
        return [on_node[key] for key in sorted(on_node)]

    def checks_on(self, node: str, service_id: str | None = None) -> list[Check]:
        """Checks of a node, by id: all, or only those of an instance (`""`: of the node itself)."""
        key = node.lower()
        if service_id is not None:
            found = self._checks_on.get((key, service_id.lower()), {})
            return [found[check_id] for check_id in sorted(found)]
        ids = ["", *self._on_node.get(key, ())]
        merged = {cid: check for sid in ids for cid, check in self._checks_on.get((key, sid), {}).items()}
        return [merged[check_id] for check_id in sorted(merged)]

    def entries(self, name: str, *, connect: bool = False, checks: bool = True) -> list[ServiceEntry]:
        """The instances of a service (or those that give mesh access to it), by node and id.

        The same object comes back until a row under it changes, so identity may key caches.
        """
        lower = name.lower()
        keys = self._sorted.get((connect, lower))
        if keys is None:
            members = (self._by_connect if connect else self._by_name).get(lower)
            if not members:
                return []
            keys = self._sorted[connect, lower] = tuple(sorted(members))
        memo = self._entries if checks else self._bare
        found = []
        for key in keys:
            entry = memo.get(key)
            if entry is None:
                entry = memo[key] = self._entry(key, checks=checks)
            found.append(entry)
        return found

    def has(self, lower_name: str, *, connect: bool = False) -> bool:
        """Whether any instance has that name (or gives mesh access to it)."""
        return lower_name in (self._by_connect if connect else self._by_name)

    def mesh_name(self, lower_name: str) -> str:
        """The name of a mesh service as its instances spell it; as it is asked for when there are none."""
        members = self._by_connect.get(lower_name)
        return (connect_name(self.services[min(members)]) if members else None) or lower_name

    def count_names(self) -> int:
        """How many services there are."""
        return len(self._by_name)

    def at_address(self, address: str) -> tuple[list[Node], list[ServiceEntry]]:
        """Nodes and instances with that address, for reverse look-ups."""
        nodes = [self.nodes[name] for name in sorted(self._node_addresses.get(address, ()))]
        return nodes, [self._entry(key, checks=False) for key in sorted(self._service_addresses.get(address, ()))]

    def index(self, topic: Topic) -> int:
        """The index of the last change of `topic`, 0 for never."""
        return self.changed.get(topic, 0)

    def _entry(self, key: InstanceKey, *, checks: bool) -> ServiceEntry:
        node, service_id = key
        found = (*self.checks_on(node, ""), *self.checks_on(node, service_id)) if checks else ()
        return ServiceEntry(self.nodes[node], self.services[key], found)

    def _drop_entry(self, key: InstanceKey) -> None:
        self._entries.pop(key, None)
        self._bare.pop(key, None)

    # --- writes ------------------------------------------------------------------------------------------------

    def register(self, command: commands.Register, index: int) -> None:
        """Write a node, an instance and checks, all or nothing.

        Raises:
            InternalError: a check names an instance that does not exist, or the node's name belongs to another id.
        """
        self._refuse(command)
        node = command.node
        if not command.skip_node_update or node.name.lower() not in self.nodes:
            self._put_node(node, index)
        key = node.name.lower()
        if command.service is not None:
            self._put_service(key, command.service, index)
        for check in command.checks:
            self._put_check(key, check, index)

    def _refuse(self, command: commands.Register) -> None:
        """Raise what `register` raises, before anything is written."""
        node = command.node
        key = node.name.lower()
        if not command.skip_node_update:
            self._refuse_name(node, "failed inserting node: ")
        new_id = command.service.id.lower() if command.service is not None else None
        for check in command.checks:
            wanted = check.service_id.lower()
            if wanted and wanted != new_id and (key, wanted) not in self.services:
                raise InternalError(f"Unknown service ID '{check.service_id}' for check ID '{check.check_id}'")

    def _refuse_name(self, node: Node, prefix: str) -> None:
        """Raise when the node's name belongs to another one that lives."""
        key = node.name.lower()
        holder = self.nodes.get(key)
        if not node.id or holder is None or not holder.id or holder.id.lower() == node.id.lower():
            return
        if self._alive(key):
            if node.id.lower() in self._node_ids:
                prefix += f"Error while renaming Node ID: {node.id!r} ({node.address}): "
            raise InternalError(
                f"{prefix}Node name {node.name} is reserved by node {holder.id} with name {holder.name} "
                f"({holder.address})"
            )

    def _alive(self, node: str) -> bool:
        """Whether the failure detector vouches for a node (row E4: only a dead node's name may be taken)."""
        serf = self.checks.get((node, "serfhealth"))
        return serf is not None and serf.status != "critical"

    def deregister(self, command: commands.Deregister, index: int) -> None:
        """Remove an instance, a check or a node; unknown ones are ignored."""
        node = command.node.lower()
        if command.service_id:
            self._remove_service(node, command.service_id.lower(), index)
        elif command.check_id:
            self._remove_check(node, command.check_id.lower(), index)
        else:
            self._remove_node(node, index)

    def put_node(self, node: Node, index: int) -> Node:
        """Write a node; the row as it is then. Raises InternalError when its name belongs to another id."""
        self._refuse_name(node, "")
        self._put_node(node, index)
        return self.nodes[node.name.lower()]

    def put_service(self, node: str, service: Service, index: int) -> Service:
        """Write an instance on a node; the row as it is then. Raises InternalError when the node is missing."""
        key = self._known(node)
        self._put_service(key, service, index)
        return self.services[key, service.id.lower()]

    def put_check(self, check: Check, index: int) -> Check:
        """Write a check; the row as it is then. Raises InternalError when its node or instance is missing."""
        key = self._known(check.node)
        if check.service_id and (key, check.service_id.lower()) not in self.services:
            raise InternalError("Missing service registration")
        self._put_check(key, check, index)
        return self.checks[key, check.check_id.lower()]

    def _known(self, node: str) -> str:
        key = node.lower()
        if key not in self.nodes:
            raise InternalError("Missing node registration")
        return key

    def reap(self, up_to: int) -> None:
        """Forget nodes that went at `up_to` or before, and what was known of their topics."""
        for name in [name for name, index in self.gone_nodes.items() if index <= up_to]:
            del self.gone_nodes[name]
            self.changed.pop(("node-checks", name), None)

    # --- nodes -------------------------------------------------------------------------------------------------

    def _put_node(self, node: Node, index: int) -> None:
        key = node.name.lower()
        node_id = node.id.lower()
        create_index = index
        renamed = self._node_ids.get(node_id) if node_id else None
        if renamed is not None and renamed != key:
            create_index = self.nodes[renamed].create_index
            self._remove_node(renamed, index)
        old = self.nodes.get(key)
        if old is not None:
            create_index = old.create_index
            if msgspec.structs.replace(node, create_index=create_index, modify_index=old.modify_index) == old:
                return
        row = msgspec.structs.replace(node, create_index=create_index, modify_index=index)
        self._store_node(key, row)
        self._mark_gone(key, None)
        self._touch("nodes", index)
        self._touch(("node", key), index)
        self._touch_addresses(row.address, old.address if old is not None else "")
        if old is not None and self.checks_on(key):
            self._count("checks", index)  # as Consul counts it; nobody is woken, for no check has changed
        for service in self._on_node.get(key, {}).values():
            self._touch_service(service, index)
            self._touch_addresses(service.address)

    def _remove_node(self, key: str, index: int) -> None:
        node = self.nodes.get(key)
        if node is None:
            return
        for service_id in list(self._on_node.get(key, ())):
            self._remove_service(key, service_id, index)
        for check in self.checks_on(key, ""):
            self._remove_check(key, check.check_id.lower(), index)
        self._store_node(key, None)
        self._touch("nodes", index)
        self._touch(("node", key), index)
        self._forget_topic(("node", key))
        self._mark_gone(key, index)
        self._touch_addresses(node.address)
        self._node_gone(key, index)

    def _store_node(self, key: str, row: Node | None) -> None:
        """Put `row` in its place, or nothing, and keep what is derived from it."""
        old = self.nodes.get(key)
        if old is not None:
            self._unlink_node(key, old)
        if row is None:
            del self.nodes[key]
        else:
            self.nodes[key] = row
            self._link_node(key, row)
        for service_id in self._on_node.get(key, ()):
            self._drop_entry((key, service_id))
        self._undo.note(self._store_node, key, old)

    def _mark_gone(self, key: str, index: int | None) -> None:
        old = self.gone_nodes.get(key)
        if old != index:
            if index is None:
                del self.gone_nodes[key]
            else:
                self.gone_nodes[key] = index
            self._undo.note(self._mark_gone, key, old)

    def _link_node(self, key: str, node: Node) -> None:
        if node.id:
            self._node_ids[node.id.lower()] = key
        self._node_addresses.setdefault(_canonical(node.address), set()).add(key)

    def _unlink_node(self, key: str, node: Node) -> None:
        if node.id and self._node_ids.get(node.id.lower()) == key:
            del self._node_ids[node.id.lower()]
        _discard(self._node_addresses, _canonical(node.address), key)

    # --- instances ---------------------------------------------------------------------------------------------

    def _put_service(self, node: str, service: Service, index: int) -> None:
        service = self._with_virtual_ip(service)
        key = (node, service.id.lower())
        old = self.services.get(key)
        if old is not None:
            same = msgspec.structs.replace(service, create_index=old.create_index, modify_index=old.modify_index)
            if same == old:
                return
        create_index = old.create_index if old is not None else index
        row = msgspec.structs.replace(service, create_index=create_index, modify_index=index)
        self._store_service(key, row)
        if old is not None:
            if old.name.lower() != row.name.lower():
                self._touch_service(old, index)
                self._forget_name(old.name, index)
            elif connect_name(old) != connect_name(row):
                self._touch_service(old, index)
        self._touch("services", index)
        self._count("nodes", index)  # as Consul counts it; nobody is woken, for no node row has changed
        self._touch(("node", node), index)
        self._touch_service(row, index)
        self._touch_addresses(row.address, old.address if old is not None else "")
        if old is not None and old.name != row.name:
            for check in self.checks_on(node, row.id):
                self._touch(("service-checks", old.name.lower()), index)
                self._put_check(node, check, index)
            if old.name.lower() not in self._by_name:
                self._forget_topic(("service-checks", old.name.lower()))

    def _remove_service(self, node: str, service_id: str, index: int) -> None:
        key = (node, service_id)
        service = self.services.get(key)
        if service is None:
            return
        for check_id in list(self._checks_on.get(key, ())):
            self._remove_check(node, check_id, index)
        self._store_service(key, None)
        self._touch("services", index)
        self._count("nodes", index)
        self._touch(("node", node), index)
        self._touch_service(service, index)
        self._touch_addresses(service.address)
        self._forget_name(service.name, index)

    def _forget_name(self, name: str, index: int) -> None:
        """The last instance of a service has gone: its own indexes go, the extinction index stands in for them."""
        lower = name.lower()
        if lower in self._by_name:
            return
        self._set_extinction(index)
        self._watches.notify("service-extinction")
        for kind in ("service", "service-health", "service-checks"):
            self._forget_topic((kind, lower))
        if self.virtual_ips.get(lower) is not None and not self._named_elsewhere(lower):
            if self._undo.active:
                self._undo.note(self.virtual_ips.rewind, self.virtual_ips.memento())
            self.virtual_ips.release(lower)
            self._watches.notify(MESH_SERVICES)

    def named(self, name: str) -> bool:
        """Whether there is an instance of a service."""
        return name.lower() in self._by_name

    def _set_extinction(self, index: int) -> None:
        self._undo.note(self._set_extinction, self.service_extinction)
        self.service_extinction = index

    def _store_service(self, key: InstanceKey, row: Service | None) -> None:
        """Put `row` in its place, or nothing, and keep what is derived from it."""
        old = self.services.get(key)
        meshed = {(connect_name(one) or "").lower() for one in (old, row) if one is not None}
        before = meshed & self._by_connect.keys()
        if old is not None:
            self._unlink_service(key, old)
        if row is None:
            del self.services[key]
        else:
            self.services[key] = row
            self._link_service(key, row)
        if before != meshed & self._by_connect.keys():
            self._watches.notify(MESH_SERVICES)
        self._undo.note(self._store_service, key, old)

    def _with_virtual_ip(self, service: Service) -> Service:
        name = connect_name(service)
        if not name:
            return service
        if self._undo.active and self.virtual_ips.get(name.lower()) is None:
            self._undo.note(self.virtual_ips.rewind, self.virtual_ips.memento())
        address = ServiceAddress(address=self.virtual_ips.assign(name.lower()), port=service.port)
        tagged = {**(service.tagged_addresses or {}), "consul-virtual": address}
        return msgspec.structs.replace(service, tagged_addresses=tagged)

    def _link_service(self, key: InstanceKey, service: Service) -> None:
        lower = service.name.lower()
        self._on_node.setdefault(key[0], {})[key[1]] = service
        self._by_name.setdefault(lower, set()).add(key)
        self._sorted.pop((False, lower), None)
        mesh = connect_name(service)
        if mesh:
            self._by_connect.setdefault(mesh.lower(), set()).add(key)
            self._sorted.pop((True, mesh.lower()), None)
        if service.address:
            self._service_addresses.setdefault(_canonical(service.address), set()).add(key)
        self._drop_entry(key)

    def _unlink_service(self, key: InstanceKey, service: Service) -> None:
        lower = service.name.lower()
        _discard_key(self._on_node, key[0], key[1])
        _discard(self._by_name, lower, key)
        self._sorted.pop((False, lower), None)
        mesh = connect_name(service)
        if mesh:
            _discard(self._by_connect, mesh.lower(), key)
            self._sorted.pop((True, mesh.lower()), None)
        if service.address:
            _discard(self._service_addresses, _canonical(service.address), key)
        self._drop_entry(key)

    # --- checks ------------------------------------------------------------------------------------------------

    def _put_check(self, node: str, check: Check, index: int) -> None:
        service = self.services.get((node, check.service_id.lower())) if check.service_id else None
        key = (node, check.check_id.lower())
        old = self.checks.get(key)
        row = msgspec.structs.replace(
            check,
            node=self.nodes[node].name,
            service_name=service.name if service is not None else "",
            service_tags=service.tags if service is not None else (),
            create_index=old.create_index if old is not None else index,
            modify_index=old.modify_index if old is not None else index,
        )
        if old is not None:
            if row == old:
                return
            row = msgspec.structs.replace(row, modify_index=index)
        self._store_check(key, row)
        if old is not None and old.service_id.lower() != row.service_id.lower():
            self._touch_check(node, old, index)
        self._touch_check(node, row, index, was=old.status if old is not None else "")
        if row.status == "critical":
            self._check_down(node, key[1], index)

    def _remove_check(self, node: str, check_id: str, index: int) -> None:
        check = self.checks.get((node, check_id))
        if check is None:
            return
        self._store_check((node, check_id), None)
        self._touch_check(node, check, index)
        self._check_down(node, check_id, index)

    def _store_check(self, key: InstanceKey, row: Check | None) -> None:
        """Put `row` in its place, or nothing, and keep what is derived from it."""
        old = self.checks.get(key)
        if old is not None:
            self._unlink_check(key[0], old)
        if row is None:
            del self.checks[key]
        else:
            self.checks[key] = row
            self._checks_on.setdefault((key[0], row.service_id.lower()), {})[key[1]] = row
            self._drop_entries(key[0], row)
        self._undo.note(self._store_check, key, old)

    def _unlink_check(self, node: str, check: Check) -> None:
        _discard_key(self._checks_on, (node, check.service_id.lower()), check.check_id.lower())
        self._drop_entries(node, check)

    def _drop_entries(self, node: str, check: Check) -> None:
        if check.service_id:
            self._entries.pop((node, check.service_id.lower()), None)
        else:
            for service_id in self._on_node.get(node, ()):
                self._entries.pop((node, service_id), None)

    # --- topics ------------------------------------------------------------------------------------------------

    def _touch(self, topic: Topic, index: int) -> None:
        self._count(topic, index)
        self._watches.notify(topic)

    def _count(self, topic: Topic, index: int) -> None:
        if self._undo.active:
            self._undo.note(self._set_topic, topic, self.changed.get(topic))
        self.changed[topic] = index

    def _forget_topic(self, topic: Topic) -> None:
        self._undo.note(self._set_topic, topic, self.changed.get(topic))
        self.changed.pop(topic, None)

    def _set_topic(self, topic: Topic, index: int | None) -> None:
        if index is None:
            self.changed.pop(topic, None)
        else:
            self.changed[topic] = index

    def _touch_service(self, service: Service, index: int) -> None:
        lower = service.name.lower()
        self._touch(("service", lower), index)
        self._touch(("service-health", lower), index)
        mesh = connect_name(service)
        if mesh:
            self._touch(("connect", mesh.lower()), index)
        elif service.kind:
            self._watches.notify(("service-kind", service.kind))

    def _touch_check(self, node: str, check: Check, index: int, was: str = "") -> None:
        self._touch("checks", index)
        self._touch(("node-checks", node), index)
        for status in {check.status, was or check.status}:
            self._watches.notify(("check-state", status))
        if check.service_id:
            self._touch(("service-checks", check.service_name.lower()), index)
            owner = self.services.get((node, check.service_id.lower()))
            affected = [owner] if owner is not None else []
        else:
            affected = list(self._on_node.get(node, {}).values())
        for service in affected:
            self._touch(("service-health", service.name.lower()), index)
            mesh = connect_name(service)
            if mesh:
                self._touch(("connect", mesh.lower()), index)

    def _touch_addresses(self, *addresses: str) -> None:
        for address in dict.fromkeys(addresses):
            if address:
                self._watches.notify(("address", _canonical(address)))

    # --- snapshots ---------------------------------------------------------------------------------------------

    def load_topics(self, rows: Iterable[tuple[str, str, int]]) -> None:
        """Fill the table from a snapshot: (kind, name or "", index)."""
        self.changed.update(((kind, name) if name else kind, index) for kind, name, index in rows)

    def load_nodes(self, rows: Iterable[Node]) -> None:
        """Fill the table from a snapshot; nodes come before instances."""
        for node in rows:
            key = node.name.lower()
            self.nodes[key] = node
            self._link_node(key, node)

    def load_services(self, rows: Iterable[tuple[str, Service]]) -> None:
        """Fill the table from a snapshot: (lower node name, instance)."""
        for node, service in rows:
            key = (node, service.id.lower())
            self.services[key] = service
            self._link_service(key, service)

    def load_checks(self, rows: Iterable[Check]) -> None:
        """Fill the table from a snapshot."""
        for check in rows:
            node, check_id = check.node.lower(), check.check_id.lower()
            self.checks[node, check_id] = check
            self._checks_on.setdefault((node, check.service_id.lower()), {})[check_id] = check


def _canonical(address: str) -> str:
    """One spelling for each IP address; host names in lower case."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.lower()


def _discard(table: dict[str, set[InstanceKey]] | dict[str, set[str]], key: str, member: InstanceKey | str) -> None:
    members = table.get(key)
    if members is not None:
        members.discard(member)
        if not members:
            del table[key]


def _discard_key(table: dict, key: object, member: str) -> None:  # type: ignore[type-arg]
    members = table.get(key)
    if members is not None:
        members.pop(member, None)
        if not members:
            del table[key]
