"""`/v1/txn`: transactions on keys, nodes, instances and checks.

Source: surface rows TX1-TX3; developer.hashicorp.com/consul/api-docs/txn. Operations that only read are answered from
the store, in the consistency that was asked for, and say so in headers and body; all others go through the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from meshagent.agent.acl.access import Access
from meshagent.agent.acl.registering import require_op, row_seen
from meshagent.agent.decode import decode_body
from meshagent.agent.http.authored import authored
from meshagent.agent.http.catalog_write import CheckBody, ServiceBody, instance_row, require_uuid
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.reads import wait_ready
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.catalog import commands, txn
from meshagent.catalog.commands import TxnCheck, TxnKV, TxnNode, TxnOp, TxnService
from meshagent.catalog.model import Check, KVEntry, Node, Row, Service
from meshagent.catalog.txn import Failure, Outcome
from meshagent.errors import BadRequest, InternalError, MeshError, TooLarge

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["MAX_OPS", "ROUTES"]

#: The most operations of one transaction (surface row TX1).
MAX_OPS = 128

_MAX_UINT64 = 2**64 - 1


# Bodies. `namespace` and `partition` are Enterprise's: taken and ignored.


class KVBody(Row, frozen=True, kw_only=True):
    """`KV` of an operation."""

    go_name: ClassVar[str] = "TxnKVOp"

    verb: str = ""
    key: str = ""
    value: bytes | None = None
    flags: Any = 0
    index: Any = 0
    session: str = ""
    namespace: str = ""
    partition: str = ""


class NodeRowBody(Node, frozen=True, kw_only=True):
    """`Node.Node` of an operation."""

    go_name: ClassVar[str] = "Node"

    partition: str = ""
    peer_name: str = ""


class NodeBody(Row, frozen=True, kw_only=True):
    """`Node` of an operation."""

    go_name: ClassVar[str] = "NodeTxnOp"

    verb: str = ""
    node: NodeRowBody


class ServiceRowBody(ServiceBody, frozen=True, kw_only=True):
    """`Service.Service` of an operation."""

    go_name: ClassVar[str] = "AgentService"

    content_hash: str = ""
    datacenter: str = ""
    namespace: str = ""
    partition: str = ""


class ServiceOpBody(Row, frozen=True, kw_only=True):
    """`Service` of an operation."""

    go_name: ClassVar[str] = "ServiceTxnOp"

    verb: str = ""
    node: str = ""
    service: ServiceRowBody


class CheckRowBody(CheckBody, frozen=True, kw_only=True):
    """`Check.Check` of an operation."""

    namespace: str = ""
    partition: str = ""
    peer_name: str = ""


class CheckOpBody(Row, frozen=True, kw_only=True):
    """`Check` of an operation."""

    go_name: ClassVar[str] = "CheckTxnOp"

    verb: str = ""
    check: CheckRowBody


class OpBody(msgspec.Struct, frozen=True, kw_only=True):
    """One operation: the first of its parts that is there counts."""

    go_name: ClassVar[str] = "TxnOp"

    kv: KVBody | None = msgspec.field(default=None, name="KV")
    node: NodeBody | None = msgspec.field(default=None, name="Node")
    service: ServiceOpBody | None = msgspec.field(default=None, name="Service")
    check: CheckOpBody | None = msgspec.field(default=None, name="Check")


async def _txn(agent: Agent, request: Request) -> Response:
    started = agent.clock.monotonic()
    options = request.options
    bodies = decode_body(tuple[OpBody, ...], request.body, prefix="Failed to parse body: ", go_value="api.TxnOps")
    if len(bodies) > MAX_OPS:
        raise TooLarge(f"Transaction contains too many operations ({len(bodies)} > {MAX_OPS})")
    ops = tuple(op for body in bodies if (op := _op(agent, body)) is not None)
    require_local(agent, request)
    access = request.access
    _ = access.sees_all  # a token that does not exist is refused whatever the operations are
    if any(txn.writes(op) for op in ops):
        ops, failures = _prepared(agent, ops, access)
        outcome = Outcome(failures=failures)
        if not failures:
            outcome = await agent.write(authored(agent, request, commands.Txn(ops)))
        agent.metrics.measure("txn.apply", started)
        return json_response(_answer(_seen(outcome, access)), 409 if outcome.failures else 200)
    await wait_ready(agent, options.consistency)
    _, failures = _prepared(agent, ops, access)
    outcome = Outcome(failures=failures) if failures else txn.read(agent.store, ops)
    agent.metrics.measure("txn.read", started)
    return _read_answer(agent, outcome, asked=not failures, access=access)


def _seen(outcome: Outcome, access: Access) -> Outcome:
    """The results that the token may see."""
    if access.sees_all:
        return outcome
    kept = tuple(result for result in outcome.results if row_seen(result.row, access))
    return outcome if len(kept) == len(outcome.results) else msgspec.structs.replace(outcome, results=kept)


def _op(agent: Agent, body: OpBody) -> TxnOp | None:
    """The operation of a body; None for an empty one."""
    if body.kv is not None:
        kv = body.kv
        value, limit = kv.value or b"", agent.config.limits.kv_max_value_size
        if len(value) > limit:
            raise TooLarge(f'Value for key "{kv.key}" is too large ({len(value)} > {limit} bytes)')
        return TxnKV(kv.verb, kv.key, value, _uint64(kv.flags, "Flags"), _uint64(kv.index, "Index"), kv.session)
    if body.node is not None:
        return TxnNode(body.node.verb, _node_row(agent, body.node.node))
    if body.service is not None:
        return TxnService(body.service.verb, body.service.node, _plain(Service, body.service.service))
    if body.check is not None:
        row = body.check.check
        check = msgspec.structs.replace(row.row(row.node), type=row.type, modify_index=row.modify_index)
        return TxnCheck(body.check.verb, check)
    return None


def _uint64(value: Any, field: str) -> int:
    if type(value) is int and 0 <= value <= _MAX_UINT64:
        return value
    kind = f"number {value}" if type(value) in {int, float} else "value"
    raise BadRequest(
        f"Failed to parse body: json: cannot unmarshal {kind} into Go struct field TxnKVOp.KV.{field} of type uint64"
    )


def _node_row(agent: Agent, body: Node) -> Node:
    row: Node = _plain(Node, body)
    return msgspec.structs.replace(
        row,
        datacenter=row.datacenter or agent.datacenter,
        tagged_addresses=row.tagged_addresses or None,
        meta=row.meta or None,
    )


def _plain(kind: type[Any], body: Any) -> Any:
    """A row of the catalog from a body that has more fields."""
    return kind(**{name: getattr(body, name) for name in kind.__struct_fields__})


# --- what is refused before anything is done -------------------------------------------------------------------


def _prepared(agent: Agent, ops: tuple[TxnOp, ...], access: Access) -> tuple[tuple[TxnOp, ...], tuple[Failure, ...]]:
    """The operations as they go into the log, and all that cannot."""
    prepared: list[TxnOp] = []
    failures: list[Failure] = []
    for at, op in enumerate(ops):
        try:
            ready = _PREPARE[type(op)](agent, op)
            require_op(access, agent.store, ready)
            prepared.append(ready)
        except MeshError as error:
            failures.append(Failure(at, str(error)))
    return tuple(prepared), tuple(failures)


def _prepare_kv(agent: Agent, op: TxnKV) -> TxnKV:
    if not op.key and op.verb != "delete-tree":
        raise InternalError("Must provide key")
    refusal = txn.unknown(op)
    if refusal:
        raise InternalError(refusal)
    if op.verb == "lock" and agent.sessions.delayed(op.key):
        raise InternalError(f'failed to lock key "{op.key}" due to lock delay')
    return op


def _prepare_node(agent: Agent, op: TxnNode) -> TxnNode:
    if op.verb != "get":
        if not op.node.name:
            raise InternalError("Must provide node")
        if op.node.id:
            require_uuid(op.node.id)
    return op


def _prepare_service(agent: Agent, op: TxnService) -> TxnService:
    if op.verb == "get" or txn.unknown(op):
        return op
    row = instance_row(op.service)
    if row is None:
        raise InternalError("Must provide service name")
    return TxnService(op.verb, op.node, msgspec.structs.replace(row, modify_index=op.service.modify_index))


def _prepare_check(agent: Agent, op: TxnCheck) -> TxnCheck:
    return op


_PREPARE: dict[type, Any] = {
    TxnKV: _prepare_kv,
    TxnNode: _prepare_node,
    TxnService: _prepare_service,
    TxnCheck: _prepare_check,
}

# --- answers ---------------------------------------------------------------------------------------------------

#: Kind of row -> its name in a result, and the list that is null there when it is empty.
_RESULTS: dict[type, tuple[str, str]] = {
    KVEntry: ("KV", ""),
    Node: ("Node", ""),
    Service: ("Service", "tags"),
    Check: ("Check", "service_tags"),
}


def _result(row: Any) -> dict[str, Any]:
    name, nullable = _RESULTS[type(row)]
    if nullable and not getattr(row, nullable):
        row = msgspec.structs.replace(row, **{nullable: None})
    return {name: row}


def _answer(outcome: Outcome) -> dict[str, Any]:
    if outcome.failures:
        errors = [{"OpIndex": failure.op_index, "What": failure.what} for failure in outcome.failures]
        return {"Results": None, "Errors": errors}
    return {"Results": [_result(result.row) for result in outcome.results], "Errors": None}


def _read_answer(agent: Agent, outcome: Outcome, *, asked: bool, access: Access) -> Response:
    """`asked` is False when the operations were refused before the store was asked: then nothing is known of it."""
    seen = _seen(outcome, access)
    hidden = seen is not outcome and not access.anonymous
    known = asked and bool(agent.log.leader)
    contact_ms = agent.log.last_contact_ms if asked else 0
    body = {
        **_answer(seen),
        "Index": agent.store.index if asked else 0,
        "LastContact": contact_ms * 1_000_000,
        "KnownLeader": known,
        "ConsistencyLevel": "",
        "NotModified": False,
        "Backend": 0,
        "ResultsFilteredByACLs": hidden,
    }
    headers = (
        ("X-Consul-Knownleader", "true" if known else "false"),
        ("X-Consul-Lastcontact", str(contact_ms)),
    )
    return json_response(body, 409 if outcome.failures else 200, headers)


ROUTES = (
    Route(
        row="TX1", method="PUT", path="/v1/txn",
        asks=True,
        acl="per operation", flags="C", tenancy="", body_limit="txn",
        handle=_txn, summary=f"up to {MAX_OPS} operations, all or nothing",
        example="""curl -X PUT -d '[{"KV":{"Verb":"set","Key":"a","Value":"MQ=="}}]' localhost:8500/v1/txn""",
    ),
)  # fmt: skip
