"""Transactions: operations on keys, nodes, instances and checks in order, all of them or none.

Source: surface rows TX1-TX3; developer.hashicorp.com/consul/api-docs/txn. The operations are done one after the other,
each seeing what those before it did; every one that fails is reported, and one failure takes all of it back: the
tables by their `Undo`, the wake-ups by their `Watches`. One that only reads needs no log: `read` runs it on any store.

Adding a verb: a row in one of the tables at the end. Verbs and messages are Consul's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.catalog import commands
from meshagent.catalog.commands import TxnCheck, TxnKV, TxnNode, TxnOp, TxnService
from meshagent.catalog.model import Check, KVEntry, Node, Service
from meshagent.catalog.txn_outcome import Failure, Outcome, TxnRow, result_of
from meshagent.errors import InternalError, MeshError

if TYPE_CHECKING:
    from meshagent.catalog.store import Store

__all__ = [
    "CHECK_VERBS",
    "KV_VERBS",
    "NODE_VERBS",
    "SERVICE_VERBS",
    "Failure",
    "Outcome",
    "Verb",
    "apply",
    "read",
    "unknown",
    "writes",
]


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: what it does, and whether it writes. `run` raises InternalError to refuse."""

    run: Callable[[Store, Any, int], Iterable[TxnRow]]
    summary: str
    writes: bool = True


def apply(store: Store, ops: Iterable[TxnOp], index: int) -> Outcome:
    """Do all operations, or none of them."""
    store.watches.begin()
    store.undo.begin()
    done = False
    try:
        outcome = _run(store, ops, index)
        done = not outcome.failures
    finally:
        if done:
            store.undo.commit()
            store.watches.commit()
        else:
            store.undo.rollback()
            store.watches.rollback()
    return outcome


def read(store: Store, ops: Iterable[TxnOp]) -> Outcome:
    """The answer to operations that only read (`writes` of each is False)."""
    return _run(store, ops, store.index)


def writes(op: TxnOp) -> bool:
    """Whether an operation needs the log. A verb on keys that nobody knows does not, other unknown ones do."""
    verbs, _ = _TABLES[type(op)]
    verb = verbs.get(op.verb)
    return verb.writes if verb is not None else not isinstance(op, TxnKV)


def unknown(op: TxnOp) -> str:
    """The refusal of an operation whose verb nobody knows, or ""."""
    verbs, kind = _TABLES[type(op)]
    return "" if op.verb in verbs else f"unknown {kind} operation: {op.verb}"


def _run(store: Store, ops: Iterable[TxnOp], index: int) -> Outcome:
    results: list[TxnRow] = []
    failures: list[Failure] = []
    for at, op in enumerate(ops):
        verb = _TABLES[type(op)][0].get(op.verb)
        if verb is None:
            failures.append(Failure(at, unknown(op)))
            continue
        try:
            results.extend(verb.run(store, op, index))
        except MeshError as error:
            failures.append(Failure(at, str(error)))
    if failures:
        return Outcome((), tuple(failures))
    return Outcome(tuple(map(result_of, results)))


def _quoted(text: str) -> str:
    """As Go writes a string in a message."""
    return msgspec.json.encode(text).decode()


# --- keys ------------------------------------------------------------------------------------------------------


def _written(store: Store, op: TxnKV) -> tuple[KVEntry, ...]:
    """The entry of a key without its value, as writes and checks give it."""
    return (msgspec.structs.replace(store.kv.entries[op.key], value=None),)


def _kv_set(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    store.kv.put(op.key, op.value, op.flags, index)
    return _written(store, op)


def _kv_cas(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    if not store.kv.cas(commands.KVCas(op.key, op.value, op.flags, op.index), index):
        raise InternalError(f"failed to set key {_quoted(op.key)}, index is stale")
    return _written(store, op)


def _kv_lock(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    if not store.lock(commands.KVLock(op.key, op.value, op.flags, op.session), index):
        raise InternalError(f"failed to lock key {_quoted(op.key)}, lock is already held")
    return _written(store, op)


def _kv_unlock(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    if not store.unlock(commands.KVUnlock(op.key, op.value, op.flags, op.session), index):
        raise InternalError(f"failed to unlock key {_quoted(op.key)}, lock isn't held, or is held by another session")
    return _written(store, op)


def _kv_delete(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    store.kv.remove(op.key, index)
    return ()


def _kv_delete_cas(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    if not store.kv.delete_cas(commands.KVDeleteCas(op.key, op.index), index):
        raise InternalError(f"failed to delete key {_quoted(op.key)}, index is stale")
    return ()


def _kv_delete_tree(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    store.kv.delete_tree(commands.KVDeleteTree(op.key), index)
    return ()


def _kv_get(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    entry = store.kv.get(op.key)
    if entry is None:
        raise InternalError(f"key {_quoted(op.key)} doesn't exist")
    return (entry,)


def _kv_get_or_empty(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    return (store.kv.get(op.key) or KVEntry(key=op.key),)


def _kv_get_tree(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    return [store.kv.entries[key] for key in store.kv.prefix_keys(op.key)]


def _kv_check_index(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    entry = store.kv.get(op.key)
    if entry is None:
        raise InternalError(f"failed to check index, key {_quoted(op.key)} doesn't exist")
    if entry.modify_index != op.index:
        raise InternalError(
            f"failed index check for key {_quoted(op.key)}, current modify index {entry.modify_index} != {op.index}"
        )
    return _written(store, op)


def _kv_check_session(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    entry = store.kv.get(op.key)
    if entry is None:
        raise InternalError(f"failed to check session, key {_quoted(op.key)} doesn't exist")
    if entry.session != op.session:
        raise InternalError(
            f"failed session check for key {_quoted(op.key)}, "
            f"current session {_quoted(entry.session)} != {_quoted(op.session)}"
        )
    return _written(store, op)


def _kv_check_not_exists(store: Store, op: TxnKV, index: int) -> Iterable[TxnRow]:
    if store.kv.get(op.key) is not None:
        raise InternalError(f"key {_quoted(op.key)} exists")
    return ()


# --- nodes, instances, checks ----------------------------------------------------------------------------------


def _fits(found: Node | Service | Check | None, index: int) -> bool:
    """Whether a write that compares may go on: `index` 0 wants nothing to be there."""
    return found is None if index == 0 else found is not None and found.modify_index == index


def _node_get(store: Store, op: TxnNode, index: int) -> Iterable[TxnRow]:
    found = store.registrations.node(op.node.id or op.node.name)
    if found is None:
        raise InternalError(f"node {_quoted(op.node.name)} doesn't exist")
    return (found,)


def _node_set(store: Store, op: TxnNode, index: int) -> Iterable[TxnRow]:
    return (store.registrations.put_node(op.node, index),)


def _node_cas(store: Store, op: TxnNode, index: int) -> Iterable[TxnRow]:
    if not _fits(store.registrations.nodes.get(op.node.name.lower()), op.node.modify_index):
        raise InternalError(f"failed to set node {_quoted(op.node.name)}, index is stale")
    return _node_set(store, op, index)


def _node_delete(store: Store, op: TxnNode, index: int) -> Iterable[TxnRow]:
    store.deregister(commands.Deregister(op.node.name), index)
    return ()


def _node_delete_cas(store: Store, op: TxnNode, index: int) -> Iterable[TxnRow]:
    found = store.registrations.nodes.get(op.node.name.lower())
    if found is None or found.modify_index != op.node.modify_index:
        raise InternalError(f"failed to delete node {_quoted(op.node.name)}, index is stale")
    return _node_delete(store, op, index)


def _service(store: Store, op: TxnService) -> Service | None:
    return store.registrations.services.get((op.node.lower(), op.service.id.lower()))


def _service_stale(op: TxnService, what: str) -> InternalError:
    return InternalError(
        f"failed to {what} service {_quoted(op.service.id)} on node {_quoted(op.node)}, index is stale"
    )


def _service_get(store: Store, op: TxnService, index: int) -> Iterable[TxnRow]:
    found = _service(store, op)
    if found is None:
        raise InternalError(f"service {_quoted(op.service.id)} on node {_quoted(op.node)} doesn't exist")
    return (found,)


def _service_set(store: Store, op: TxnService, index: int) -> Iterable[TxnRow]:
    return (store.registrations.put_service(op.node, op.service, index),)


def _service_cas(store: Store, op: TxnService, index: int) -> Iterable[TxnRow]:
    if not _fits(_service(store, op), op.service.modify_index):
        raise _service_stale(op, "set")
    return _service_set(store, op, index)


def _service_delete(store: Store, op: TxnService, index: int) -> Iterable[TxnRow]:
    if op.service.id:
        store.deregister(commands.Deregister(op.node, service_id=op.service.id), index)
    return ()


def _service_delete_cas(store: Store, op: TxnService, index: int) -> Iterable[TxnRow]:
    found = _service(store, op)
    if found is None or found.modify_index != op.service.modify_index:
        raise _service_stale(op, "delete")
    return _service_delete(store, op, index)


def _check(store: Store, op: TxnCheck) -> Check | None:
    return store.registrations.checks.get((op.check.node.lower(), op.check.check_id.lower()))


def _check_stale(op: TxnCheck, what: str) -> InternalError:
    check = op.check
    return InternalError(
        f"failed to {what} check {_quoted(check.check_id)} on node {_quoted(check.node)}, index is stale"
    )


def _check_get(store: Store, op: TxnCheck, index: int) -> Iterable[TxnRow]:
    found = _check(store, op)
    if found is None:
        raise InternalError(f"check {_quoted(op.check.check_id)} on node {_quoted(op.check.node)} doesn't exist")
    return (found,)


def _check_set(store: Store, op: TxnCheck, index: int) -> Iterable[TxnRow]:
    return (store.registrations.put_check(op.check, index),)


def _check_cas(store: Store, op: TxnCheck, index: int) -> Iterable[TxnRow]:
    if not _fits(_check(store, op), op.check.modify_index):
        raise _check_stale(op, "set")
    return _check_set(store, op, index)


def _check_delete(store: Store, op: TxnCheck, index: int) -> Iterable[TxnRow]:
    if op.check.check_id:
        store.deregister(commands.Deregister(op.check.node, check_id=op.check.check_id), index)
    return ()


def _check_delete_cas(store: Store, op: TxnCheck, index: int) -> Iterable[TxnRow]:
    found = _check(store, op)
    if found is None or found.modify_index != op.check.modify_index:
        raise _check_stale(op, "delete")
    return _check_delete(store, op, index)


# --- the tables ------------------------------------------------------------------------------------------------

KV_VERBS: dict[str, Verb] = {
    "set": Verb(_kv_set, "write a key"),
    "cas": Verb(_kv_cas, "write a key whose ModifyIndex is Index (0: that is not there)"),
    "lock": Verb(_kv_lock, "write a key and take its lock for Session"),
    "unlock": Verb(_kv_unlock, "write a key and give the lock of Session back"),
    "get": Verb(_kv_get, "a key that must be there", writes=False),
    "get-or-empty": Verb(_kv_get_or_empty, "a key, or an empty entry", writes=False),
    "get-tree": Verb(_kv_get_tree, "the keys of a prefix", writes=False),
    "check-index": Verb(_kv_check_index, "fail unless the key's ModifyIndex is Index", writes=False),
    "check-session": Verb(_kv_check_session, "fail unless Session holds the key's lock", writes=False),
    "check-not-exists": Verb(_kv_check_not_exists, "fail if the key is there", writes=False),
    "delete": Verb(_kv_delete, "delete a key"),
    "delete-cas": Verb(_kv_delete_cas, "delete a key whose ModifyIndex is Index"),
    "delete-tree": Verb(_kv_delete_tree, "delete the keys of a prefix"),
}
NODE_VERBS: dict[str, Verb] = {
    "get": Verb(_node_get, "a node by name or ID", writes=False),
    "set": Verb(_node_set, "write a node"),
    "cas": Verb(_node_cas, "write a node whose ModifyIndex is that given (0: that is not there)"),
    "delete": Verb(_node_delete, "remove a node with all that is on it"),
    "delete-cas": Verb(_node_delete_cas, "remove a node whose ModifyIndex is that given"),
}
SERVICE_VERBS: dict[str, Verb] = {
    "get": Verb(_service_get, "an instance of a node", writes=False),
    "set": Verb(_service_set, "write an instance"),
    "cas": Verb(_service_cas, "write an instance whose ModifyIndex is that given (0: that is not there)"),
    "delete": Verb(_service_delete, "remove an instance with its checks"),
    "delete-cas": Verb(_service_delete_cas, "remove an instance whose ModifyIndex is that given"),
}
CHECK_VERBS: dict[str, Verb] = {
    "get": Verb(_check_get, "a check of a node", writes=False),
    "set": Verb(_check_set, "write a check"),
    "cas": Verb(_check_cas, "write a check whose ModifyIndex is that given (0: that is not there)"),
    "delete": Verb(_check_delete, "remove a check"),
    "delete-cas": Verb(_check_delete_cas, "remove a check whose ModifyIndex is that given"),
}
#: Kind of operation -> its verbs, and what messages call it.
_TABLES: dict[type, tuple[dict[str, Verb], str]] = {
    TxnKV: (KV_VERBS, "KV"),
    TxnNode: (NODE_VERBS, "node"),
    TxnService: (SERVICE_VERBS, "service"),
    TxnCheck: (CHECK_VERBS, "check"),
}
