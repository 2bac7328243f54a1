"""What of one cluster is missing or different in another: the plan of `migrate`. Pure but for the clients given.

A part reads all objects of its kind from an API that is compatible with Consul's, by a name that both clusters share,
without what each cluster gives out itself (indexes, hashes, times, ids). The plan is the difference.

Source: developer.hashicorp.com/consul/api-docs; surface section 1. What may change here: parts, a row each.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Protocol

from meshagent.agent.cli.client import Answer, ApiError

__all__ = ["PARTS", "Api", "Part", "Step", "difference", "plan"]

#: Kinds of config entries in an order in which none needs a later one.
KINDS = (
    "proxy-defaults", "mesh", "jwt-provider", "service-defaults", "service-resolver", "service-splitter",
    "service-router", "file-system-certificate", "inline-certificate", "api-gateway", "http-route", "tcp-route",
    "ingress-gateway", "terminating-gateway", "service-intentions", "exported-services", "sameness-group",
    "control-plane-request-limit",
)  # fmt: skip
#: What each cluster gives out itself.
_OWN = frozenset({
    "CreateIndex", "ModifyIndex", "Hash", "CreateTime", "LegacyCreateTime", "LegacyUpdateTime", "ContentHash",
    "LastUsed",
})  # fmt: skip
_BUILTIN_POLICIES = frozenset({"global-management", "builtin/global-read-only"})
_KEYS_A_TIME, _BYTES_A_TIME = 64, 256 << 10


class Api(Protocol):
    """The client of one cluster."""

    def get(self, path: str, query: Any = ()) -> Any:
        """GET as JSON. Raises ApiError."""

    def put(self, path: str, query: Any = (), body: bytes = b"", value: Any = None) -> Answer:
        """PUT. Raises ApiError."""

    def request(self, method: str, path: str, query: Any = (), body: bytes = b"", *, accept: Any = (200,)) -> Answer:
        """One request. Raises ApiError."""


@dataclass(frozen=True, slots=True)
class Step:
    """One object that is to be written: `old` is what stands there now, None for nothing."""

    part: Part
    name: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of objects: `read` gives them by name, `write` writes some of them. `secret` ones are asked for."""

    name: str
    read: Callable[[Api], dict[str, Any]]
    write: Callable[[Api, list[Step]], Iterator[tuple[Step, str]]]
    secret: bool = False


def plan(part: Part, source: dict[str, Any], target: dict[str, Any]) -> list[Step]:
    """What must be written so that the target holds what the source does; nothing is ever deleted."""
    return [Step(part, name, target.get(name), new) for name, new in source.items() if target.get(name) != new]


def difference(step: Step) -> Iterator[str]:
    """The lines that differ, as `diff -u` shows them; secrets are hidden."""
    old, new = (_shown(value).splitlines() if value is not None else [] for value in (step.old, step.new))
    for number, line in enumerate(unified_diff(old, new, "there", "here", lineterm="", n=1)):
        if number > 1:
            yield line


def _shown(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"Flags", "Value"}:
        data = base64.b64decode(value["Value"] or "")
        text = data.decode("utf-8", "replace")
        body = text if text.isprintable() or "\ufffd" not in text else f"({len(data)} bytes)"
        return f"flags {value['Flags']}\n{body}"
    return json.dumps(_hidden(value), indent=2, sort_keys=True, ensure_ascii=False)


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "(hidden)" if key == "SecretID" else _hidden(inner) for key, inner in value.items()}
    return [_hidden(inner) for inner in value] if isinstance(value, list) else value


def _plain(value: Any, *without: str) -> Any:
    """Without what each cluster gives out itself, at any depth, and without `without` at the top."""

    def walk(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {key: walk(one) for key, one in inner.items() if key not in _OWN}
        return [walk(one) for one in inner] if isinstance(inner, list) else inner

    found = walk(value)
    return {key: one for key, one in found.items() if key not in without} if isinstance(found, dict) else found


def _each(
    send: Callable[[Api, Step], object],
) -> Callable[[Api, list[Step]], Iterator[tuple[Step, str]]]:
    """Write one after the other; what is wrong with one does not stop the others."""

    def write(target: Api, steps: list[Step]) -> Iterator[tuple[Step, str]]:
        for step in steps:
            try:
                send(target, step)
            except ApiError as error:
                yield step, str(error)
            else:
                yield step, ""

    return write


# --- keys ----------------------------------------------------------------------------------------------------------


def _read_keys(api: Api) -> dict[str, Any]:
    answer = api.request("GET", "kv/", {"recurse": ""}, accept=(200, 404))
    rows = answer.json() if answer.status == 200 else []
    return {row["Key"]: {"Flags": row["Flags"], "Value": row["Value"] or ""} for row in rows}


def _write_keys(target: Api, steps: list[Step]) -> Iterator[tuple[Step, str]]:
    """In transactions; one that is refused is written key by key, so that the reason names its key."""
    for some in _batches(steps):
        operations = [{"KV": {"Verb": "set", "Key": step.name, **step.new}} for step in some]
        try:
            target.put("txn", value=operations)
        except ApiError:
            yield from _each(
                lambda api, step: api.put(
                    f"kv/{step.name}", {"flags": str(step.new["Flags"])}, base64.b64decode(step.new["Value"])
                )
            )(target, some)
        else:
            yield from ((step, "") for step in some)


def _batches(steps: list[Step]) -> Iterator[list[Step]]:
    held: list[Step] = []
    size = 0
    for step in steps:
        if held and (len(held) == _KEYS_A_TIME or size + len(step.new["Value"]) > _BYTES_A_TIME):
            yield held
            held, size = [], 0
        held.append(step)
        size += len(step.new["Value"])
    if held:
        yield held


# --- config entries, queries, services -------------------------------------------------------------------------------


def _read_entries(api: Api) -> dict[str, Any]:
    found = {}
    for kind in KINDS:
        try:
            rows = api.get(f"config/{kind}") or []
        except ApiError as error:
            if error.status in {400, 500}:  # a kind that this release does not know
                continue
            raise
        found.update({f"{kind}/{row['Name']}": _plain(row) for row in rows})
    return found


def _write_query(target: Api, step: Step) -> None:
    if step.old is None:
        target.request("POST", "query", body=json.dumps(step.new).encode())
        return
    held = next(row["ID"] for row in target.get("query") if _query_name(row) == step.name)
    target.put(f"query/{held}", value=step.new)


def _query_name(row: dict[str, Any]) -> str:
    return str(row.get("Name") or row["ID"])


def _read_queries(api: Api) -> dict[str, Any]:
    # A query that dies with a session has none of its own in another cluster.
    rows = [row for row in api.get("query") or () if not row.get("Session")]
    return {_query_name(row): _plain(row, "ID", "Session") for row in rows}


def _read_services(api: Api) -> dict[str, Any]:
    """The definitions of the agent itself, with their checks that need no code of another host."""
    found = {}
    for id_, row in (api.get("agent/services") or {}).items():
        service = _plain(row, "Service", "Datacenter", "PeerName", "Kind", "Proxy", "Connect", "TaggedAddresses")
        service["Name"] = row["Service"]
        for key in ("Kind", "Proxy", "Connect"):
            if row.get(key):
                service[key] = _plain(row[key])
        addresses = {key: value for key, value in (row.get("TaggedAddresses") or {}).items() if key != "consul-virtual"}
        if addresses:
            service["TaggedAddresses"] = addresses
        found[id_] = service
    return found


# --- ACLs ------------------------------------------------------------------------------------------------------------


def _links(row: dict[str, Any]) -> dict[str, Any]:
    """Policies and roles by name: their ids are others in another cluster."""
    for key in ("Policies", "Roles"):
        if row.get(key):
            row[key] = sorted(({"Name": one["Name"]} for one in row[key]), key=lambda one: str(one["Name"]))
    return row


def _read_policies(api: Api) -> dict[str, Any]:
    rows = [row for row in api.get("acl/policies") if row["Name"] not in _BUILTIN_POLICIES]
    return {row["Name"]: _plain(api.get(f"acl/policy/{row['ID']}"), "ID") for row in rows}


def _read_roles(api: Api) -> dict[str, Any]:
    return {row["Name"]: _links(_plain(row, "ID")) for row in api.get("acl/roles")}


def _read_methods(api: Api) -> dict[str, Any]:
    rows = api.get("acl/auth-methods")
    return {row["Name"]: _plain(api.get(f"acl/auth-method/{row['Name']}")) for row in rows}


def _rule_name(row: dict[str, Any]) -> str:
    return f"{row['AuthMethod']}/{row['BindType']}/{row['BindName']}/{row.get('Selector', '')}"


def _read_rules(api: Api) -> dict[str, Any]:
    return {_rule_name(row): _plain(row, "ID") for row in api.get("acl/binding-rules")}


def _read_tokens(api: Api) -> dict[str, Any]:
    # Tokens of a login end by themselves, and their method will give new ones.
    accessors = [row["AccessorID"] for row in api.get("acl/tokens") if not row.get("AuthMethod")]
    found = {}
    for accessor in accessors:
        row = _links(_plain(api.get(f"acl/token/{accessor}")))
        found[accessor] = {key: value for key, value in row.items() if key != "Rules"}
    return found


def _named(path: str, many: str) -> Callable[[Api, Step], object]:
    """Objects whose id is the cluster's own: made by PUT, changed under the id that the name has there."""

    def send(target: Api, step: Step) -> object:
        if step.old is None:
            return target.put(path, value=step.new)
        key = _rule_name if many == "acl/binding-rules" else lambda row: row["Name"]
        held = next(row["ID"] for row in target.get(many) if key(row) == step.name)
        return target.put(f"{path}/{held}", value={**step.new, "ID": held})

    return send


def _write_method(target: Api, step: Step) -> object:
    return target.put("acl/auth-method" if step.old is None else f"acl/auth-method/{step.name}", value=step.new)


def _write_token(target: Api, step: Step) -> object:
    return target.put("acl/token" if step.old is None else f"acl/token/{step.name}", value=step.new)


PARTS: tuple[Part, ...] = (
    Part("kv", _read_keys, _write_keys),
    Part("config", _read_entries, _each(lambda api, step: api.put("config", value=step.new))),
    Part("acl-policies", _read_policies, _each(_named("acl/policy", "acl/policies"))),
    Part("acl-roles", _read_roles, _each(_named("acl/role", "acl/roles"))),
    Part("acl-auth-methods", _read_methods, _each(_write_method)),
    Part("acl-binding-rules", _read_rules, _each(_named("acl/binding-rule", "acl/binding-rules"))),
    Part("acl-tokens", _read_tokens, _each(_write_token), secret=True),
    Part("queries", _read_queries, _each(_write_query)),
    Part("services", _read_services, _each(lambda api, step: api.put("agent/service/register", value=step.new))),
)
