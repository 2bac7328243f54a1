"""`/v1/agent/connect/proxy/:id`: the snapshot that a proxy registered here works from.

Ours: the built-in proxy reads it, with the key of its leaf (`?secrets`), and blocks on its hash; `meshagent proxy
config` shows it. Consul has no such endpoint.

Source: our own; hash blocking as surface row C14. What may change here: fields of the snapshot grow
(connect/snapshot.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.acl.locally import require_proxy
from meshagent.agent.http.connect_ca import mesh_of
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response, encode_json
from meshagent.agent.http.routes import Route
from meshagent.errors import BadRequest

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_WAIT_S = 300.0
_WAIT_MAX_S = 600.0
#: Waits end up to this part later, so that not all come back at once.
_JITTER_FRACTION = 16


async def _proxy(agent: Agent, request: Request) -> Response:
    proxies = mesh_of(agent).proxies
    if not request.name:
        raise BadRequest("Missing proxy ID")
    require_proxy(agent.local, request.access, request.name)
    options = request.options
    wait_s = min(options.wait_ns / 1e9 or _WAIT_S, _WAIT_MAX_S)
    wait_s += agent.rng.random() * wait_s / _JITTER_FRACTION
    snapshot, digest = await proxies.get(request.name, options.hash, wait_s)
    if request.query.has("secrets"):
        body = msgspec.json.encode(snapshot)
    else:
        body = encode_json(snapshot.shown())
    return Response(200, body, (("X-Consul-Contenthash", digest),), JSON)


ROUTES = (
    Route(
        row="M70", method="GET", path="/v1/agent/connect/proxy/",
        asks=True,
        acl="service:write", flags="H", handle=_proxy,
        summary="what a proxy registered here works from (ours; ?secrets: with the key of its leaf)",
        example="curl localhost:8500/v1/agent/connect/proxy/web-sidecar-proxy",
    ),
)  # fmt: skip
