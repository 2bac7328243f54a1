"""The operations of a transaction, tagged like commands.

Verbs are those of the API (surface rows TX2, TX3); what a `cas` compares with is the `modify_index` of the row given.
Numbers are append-only, and no command has one of them (`commands.py`).
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.model import Check, Node, Service

__all__ = ["TxnCheck", "TxnKV", "TxnNode", "TxnOp", "TxnService"]


class TxnKV(msgspec.Struct, frozen=True, array_like=True, tag=51):  # since 0.1
    """An operation on a key."""

    verb: str
    key: str = ""
    value: bytes = b""
    flags: int = 0
    index: int = 0
    session: str = ""


class TxnNode(msgspec.Struct, frozen=True, array_like=True, tag=52):  # since 0.1
    """An operation on a node."""

    verb: str
    node: Node


class TxnService(msgspec.Struct, frozen=True, array_like=True, tag=53):  # since 0.1
    """An operation on an instance of the node `node`."""

    verb: str
    node: str
    service: Service


class TxnCheck(msgspec.Struct, frozen=True, array_like=True, tag=54):  # since 0.1
    """An operation on a check of the node `check.node`."""

    verb: str
    check: Check


TxnOp = TxnKV | TxnNode | TxnService | TxnCheck
