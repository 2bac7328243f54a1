"""Every replicated write: its number, its value, its bytes.

A command is what goes into the log. It carries everything that applying needs: times and ids are filled in before it is
proposed, so that applying it is the same on every server. Encoded as msgpack arrays `[tag, field, ...]`.

What may change here: tags are append-only and never reused; fields are appended with a default. `since` in the comment
is the release that added the tag.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.acl.commands import (
    AclBindingRuleDelete,
    AclBindingRuleSet,
    AclBootstrap,
    AclMethodDelete,
    AclMethodSet,
    AclPolicyDelete,
    AclPolicySet,
    AclRoleDelete,
    AclRoleSet,
    AclTokensDelete,
    AclTokenSet,
    AclTokensUsed,
)
from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.ca import CAConfig, CAKey, CARoot
from meshagent.catalog.entries.table import ConfigEntry
from meshagent.catalog.model import Check, CoordinateRow, Node, PreparedQuery, Service, ServiceEntry, Session
from meshagent.catalog.peering.commands import PeeringCommand
from meshagent.catalog.txn_ops import TxnCheck, TxnKV, TxnNode, TxnOp, TxnService
from meshagent.errors import CorruptData

__all__ = [
    "AclBindingRuleDelete",
    "AclBindingRuleSet",
    "AclBootstrap",
    "AclMethodDelete",
    "AclMethodSet",
    "AclPolicyDelete",
    "AclPolicySet",
    "AclRoleDelete",
    "AclRoleSet",
    "AclTokenSet",
    "AclTokensDelete",
    "AclTokensUsed",
    "Authored",
    "AutopilotSet",
    "CAAdopt",
    "CADrop",
    "CASerials",
    "CASet",
    "ClusterInit",
    "Command",
    "ConfigEntryDelete",
    "ConfigEntrySet",
    "CoordinateBatch",
    "Deregister",
    "FederationStateSet",
    "HistoryDrop",
    "IntroductionTake",
    "KVCas",
    "KVDelete",
    "KVDeleteCas",
    "KVDeleteTree",
    "KVLock",
    "KVSet",
    "KVUnlock",
    "ManualIPsSet",
    "PreparedQueryDelete",
    "PreparedQuerySet",
    "ReapTombstones",
    "Register",
    "SessionCreate",
    "SessionDestroy",
    "Txn",
    "TxnCheck",
    "TxnKV",
    "TxnNode",
    "TxnOp",
    "TxnService",
    "decode",
    "encode",
]


class Register(msgspec.Struct, frozen=True, array_like=True, tag=1):  # since 0.1
    """Write a node, and with it an instance and checks, all or nothing. Result: None."""

    node: Node
    service: Service | None = None
    checks: tuple[Check, ...] = ()
    skip_node_update: bool = False


class Deregister(msgspec.Struct, frozen=True, array_like=True, tag=2):  # since 0.1
    """Remove an instance (with its checks), or a check, or the whole node. Result: None; what is unknown is ignored."""

    node: str
    service_id: str = ""
    check_id: str = ""


class KVSet(msgspec.Struct, frozen=True, array_like=True, tag=10):  # since 0.1
    """Write a key. Result: True."""

    key: str
    value: bytes
    flags: int = 0


class KVCas(msgspec.Struct, frozen=True, array_like=True, tag=11):  # since 0.1
    """Write a key if its ModifyIndex is `index` (0: if it does not exist). Result: whether it was written."""

    key: str
    value: bytes
    flags: int
    index: int


class KVDelete(msgspec.Struct, frozen=True, array_like=True, tag=12):  # since 0.1
    """Delete a key. Result: True."""

    key: str


class KVDeleteCas(msgspec.Struct, frozen=True, array_like=True, tag=13):  # since 0.1
    """Delete a key if its ModifyIndex is `index`. Result: whether it is gone (True for a missing one)."""

    key: str
    index: int


class KVDeleteTree(msgspec.Struct, frozen=True, array_like=True, tag=14):  # since 0.1
    """Delete every key that starts with `prefix`. Result: True."""

    prefix: str


class KVLock(msgspec.Struct, frozen=True, array_like=True, tag=15):  # since 0.1
    """Write a key and take its lock for a session. Result: whether the lock is held."""

    key: str
    value: bytes
    flags: int
    session: str


class KVUnlock(msgspec.Struct, frozen=True, array_like=True, tag=16):  # since 0.1
    """Write a key and give its lock back. Result: whether the session held it."""

    key: str
    value: bytes
    flags: int
    session: str


class CoordinateBatch(msgspec.Struct, frozen=True, array_like=True, tag=20):  # since 0.1
    """Network coordinates of known nodes; those of unknown nodes are ignored. Result: None."""

    updates: tuple[CoordinateRow, ...]


class ReapTombstones(msgspec.Struct, frozen=True, array_like=True, tag=30):  # since 0.1
    """Forget what was deleted at or before `index` (surface row C13). Result: None."""

    index: int


class SessionCreate(msgspec.Struct, frozen=True, array_like=True, tag=40):  # since 0.1
    """Begin a session whose id has been made up. Result: None. Renewals are timers of the leader and no commands."""

    session: Session


class SessionDestroy(msgspec.Struct, frozen=True, array_like=True, tag=41):  # since 0.1
    """End a session: by request, or because its time to live is over. Result: None; an unknown one is ignored."""

    id: str


class Txn(msgspec.Struct, frozen=True, array_like=True, tag=50):  # since 0.1
    """Operations in order, all or none. Result: `catalog.txn.Outcome`."""

    ops: tuple[TxnOp, ...]


class PreparedQuerySet(msgspec.Struct, frozen=True, array_like=True, tag=70):  # since 0.1
    """Create or replace the prepared query with the id of `query`. Result: None."""

    query: PreparedQuery


class PreparedQueryDelete(msgspec.Struct, frozen=True, array_like=True, tag=71):  # since 0.1
    """Forget a prepared query. Result: None; an unknown one is ignored."""

    id: str


class ConfigEntrySet(msgspec.Struct, frozen=True, array_like=True, tag=60):  # since 0.1
    """Write a config entry; with `cas` only if its ModifyIndex is that (0: if there is none).

    Result: whether it is there. `at` is the time of the write (RFC 3339), for the statuses of gateways.
    """

    entry: ConfigEntry
    cas: int | None = None
    at: str = ""


class ConfigEntryDelete(msgspec.Struct, frozen=True, array_like=True, tag=61):  # since 0.1
    """Delete a config entry; with `cas` only if its ModifyIndex is that. Result: False when it is another."""

    kind: str
    name: str
    cas: int | None = None
    at: str = ""


class CASet(msgspec.Struct, frozen=True, array_like=True, tag=100):  # since 0.1
    """Configure the mesh's authority if its configuration is still the one of ModifyIndex `expect` (0: none).

    `root` becomes the active one; `key` is its private key. `cluster_id` counts the first time only. `at` is the time
    of the write (RFC 3339). Result: whether it was written.
    """

    config: CAConfig
    expect: int
    at: str
    cluster_id: str = ""
    root: CARoot | None = None
    key: CAKey | None = None


class CASerials(msgspec.Struct, frozen=True, array_like=True, tag=101):  # since 0.1
    """Take serial numbers for certificates. Result: (the first, the index of this write)."""

    count: int = 1


class CADrop(msgspec.Struct, frozen=True, array_like=True, tag=102):  # since 0.1
    """Forget roots that were rotated out, with their keys. Result: None; active and unknown ones are ignored."""

    roots: tuple[str, ...]


class CAAdopt(msgspec.Struct, frozen=True, array_like=True, tag=103):  # since 0.3
    """Trust the roots of the primary datacenter and no others, if the roots here are still those of index `expect`.

    `roots` are all of them; among the intermediates of the active one is this datacenter's own, whose private key is
    `key` (None: the one that is here). `cluster_id` is the primary's. Result: whether it was written.
    """

    cluster_id: str
    roots: tuple[CARoot, ...]
    expect: int
    key: CAKey | None = None


class ClusterInit(msgspec.Struct, frozen=True, array_like=True, tag=80):  # since 0.1
    """Give the cluster its id, unless it has one. Result: the id it has."""

    id: str


class AutopilotSet(msgspec.Struct, frozen=True, array_like=True, tag=90):  # since 0.1
    """Write the autopilot configuration; with `cas` only if its ModifyIndex is that (0: if there is none).

    Result: whether it was written.
    """

    config: AutopilotConfig
    cas: int | None = None


class FederationStateSet(msgspec.Struct, frozen=True, array_like=True, tag=91):  # since 0.1
    """Write what a datacenter says of itself, at the time `updated_at` (RFC 3339). Result: None.

    `mesh_gateways` are those of another datacenter, with their checks.
    """

    datacenter: str
    updated_at: str
    mesh_gateways: tuple[ServiceEntry, ...] = ()


class ManualIPsSet(msgspec.Struct, frozen=True, array_like=True, tag=92):  # since 0.1
    """Give a service its manual virtual addresses, in place of those it had.

    Result: the names of the services that lost one of them to it; None: it is no service of the mesh, nothing is done.
    """

    service: str
    addresses: tuple[str, ...]


class IntroductionTake(msgspec.Struct, frozen=True, array_like=True, tag=97):  # since 0.2
    """Note at `now` (Unix time, s) that an introduction brought `node` in; its row may go at `ends`.

    Result: the name of the node that it is for, which is another one if that came first.
    """

    digest: bytes
    node: str
    ends: int
    now: int


#: What has versions (`history.py`).
Recorded = (
    KVSet | KVCas | KVDelete | KVDeleteCas | KVDeleteTree | KVLock | KVUnlock | Txn | ConfigEntrySet | ConfigEntryDelete
)


class Authored(msgspec.Struct, frozen=True, array_like=True, tag=120):  # since 0.2
    """A write whose author is remembered. Result: that of `command`, which must stay the first field.

    `at` is the time of the write (RFC 3339), `accessor` and `name` say whose token it was ("" with ACLs off), `agent`
    which node was asked; `versions` of each thing and `max_bytes` of each table are kept.
    """

    command: Recorded
    at: str
    accessor: str
    name: str
    agent: str
    versions: int
    max_bytes: int


class HistoryDrop(msgspec.Struct, frozen=True, array_like=True, tag=121):  # since 0.2
    """Forget all versions. Result: None."""


Command = (
    Register
    | Deregister
    | KVSet
    | KVCas
    | KVDelete
    | KVDeleteCas
    | KVDeleteTree
    | KVLock
    | KVUnlock
    | CoordinateBatch
    | ReapTombstones
    | SessionCreate
    | SessionDestroy
    | Txn
    | PreparedQuerySet
    | PreparedQueryDelete
    | ConfigEntrySet
    | ConfigEntryDelete
    | CASet
    | CASerials
    | CAAdopt
    | CADrop
    | ClusterInit
    | AutopilotSet
    | FederationStateSet
    | ManualIPsSet
    | IntroductionTake
    | Authored
    | HistoryDrop
    | AclBootstrap
    | AclTokenSet
    | AclTokensDelete
    | AclPolicySet
    | AclPolicyDelete
    | AclRoleSet
    | AclRoleDelete
    | AclMethodSet
    | AclMethodDelete
    | AclBindingRuleSet
    | AclBindingRuleDelete
    | AclTokensUsed
    | PeeringCommand
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)


def encode(command: Command) -> bytes:
    """The bytes of a command."""
    return _encoder.encode(command)


def decode(data: bytes) -> Command:
    """The command of some bytes.

    Raises:
        CorruptData: not a command, or one of a later release.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptData(f"not a known command ({error}); was it written by a later release of meshagent?") from error
