"""Addresses of another datacenter as they are reached from here (`translate_wan_addrs`): the `wan` tagged address of a
node or service in place of its own, in answers that came from there.

    {"Address": "10.0.0.5", "TaggedAddresses": {"wan": "192.0.2.5"}}  ->  {"Address": "192.0.2.5", ...}

Source: surface rows C17, C30, G11; developer.hashicorp.com/consul/docs/agent/config/config-files#translate_wan_addrs.
Pure. What may change here: a further answer is a row in `_SHAPES`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.http.request import parse_query
from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.wire import Answer, compress

if TYPE_CHECKING:
    from meshagent.agent.http.routes import Route

__all__ = ["reached_from", "translated", "translates"]


def _node(row: dict[str, Any]) -> None:
    wan = (row.get("TaggedAddresses") or {}).get("wan")
    if wan:
        row["Address"] = wan


def _service(row: dict[str, Any], before: str = "") -> None:
    """`before` is "Service" where the fields of a service stand beside those of its node."""
    wan = (row.get(f"{before}TaggedAddresses") or {}).get("wan") or {}
    if wan.get("Address"):
        row[f"{before}Address"] = wan["Address"]
    if wan.get("Port"):
        row[f"{before}Port"] = wan["Port"]


def _nodes(rows: Any) -> None:
    for row in rows or ():
        _node(row)


def _instances(rows: Any) -> None:
    for row in rows or ():
        _node(row)
        _service(row, "Service")


def _entries(rows: Any) -> None:
    for row in rows or ():
        _node(row["Node"])
        _service(row["Service"])


def _of_node(found: Any) -> None:
    if not found:
        return
    _node(found.get("Node") or {})
    services = found.get("Services") or ()
    for row in services.values() if isinstance(services, dict) else services:
        _service(row)


def _executed(found: Any) -> None:
    _entries(found.get("Nodes"))


#: (path, suffix) of a route -> what is done to its rows.
_SHAPES: dict[tuple[str, str], Callable[[Any], None]] = {
    ("/v1/catalog/nodes", ""): _nodes,
    ("/v1/catalog/node/", ""): _of_node,
    ("/v1/catalog/node-services/", ""): _of_node,
    ("/v1/catalog/service/", ""): _instances,
    ("/v1/catalog/connect/", ""): _instances,
    ("/v1/health/service/", ""): _entries,
    ("/v1/health/connect/", ""): _entries,
    ("/v1/health/ingress/", ""): _entries,
    ("/v1/query/", "/execute"): _executed,
}


def reached_from(
    datacenter: str, answer: Answer | StreamingResponse, route: Route, query: str
) -> Answer | StreamingResponse:
    """The answer to a request at an agent of `datacenter`, translated if it is about another one."""
    asked = parse_query(query)
    wanted = asked.get("datacenter") or asked.get("dc")
    if not wanted or wanted == datacenter or isinstance(answer, StreamingResponse):
        return answer
    return translated(answer, route.path, route.suffix) if translates(route.path, route.suffix) else answer


def translates(path: str, suffix: str) -> bool:
    """Whether answers of that route hold addresses."""
    return (path, suffix) in _SHAPES


def translated(answer: Answer, path: str, suffix: str) -> Answer:
    """The answer with addresses as they are reached from here; errors and anything unexpected stay as they are."""
    if answer.status != 200 or not answer.body:
        return answer
    packed = b"\r\nContent-Encoding: gzip\r\n" in answer.head
    body = zlib.decompress(answer.body, 31) if packed else answer.body
    try:
        rows = msgspec.json.decode(body)
        _SHAPES[path, suffix](rows)
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
        return answer
    fresh = msgspec.json.encode(rows)
    if body[1:2] in {b"\n", b" "}:
        fresh = msgspec.json.format(fresh, indent=4)
    if packed:
        fresh = compress(fresh)
    lines = [
        b"Content-Length: %d" % len(fresh) if line.startswith(b"Content-Length: ") else line
        for line in answer.head.split(b"\r\n")
    ]
    return Answer(answer.status, b"\r\n".join(lines), fresh, answer.close)
