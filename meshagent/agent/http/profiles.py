"""I/O edge: `/debug/pprof/*`: what the process is doing, for `meshagent debug` and flame graphs.

Profiles of Go do not exist here; under its names there are ours (`agent/profiles.py`), as text. Without ACLs they are
there when `enable_debug` is set; with ACLs for who may read `operator`, as upstream has it.

Source: surface row C32. What may change here: nothing but kinds.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response
from meshagent.agent.profiles import KINDS, report
from meshagent.durations import parse_duration
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import Guardian

__all__ = ["PREFIX", "profile"]

PREFIX = "/debug/pprof/"
_SECONDS = 30.0


async def profile(guardian: Guardian | None, enabled: bool, request: Request) -> Response:
    """The answer to a request below `PREFIX`."""
    if guardian is not None:
        allowed = False
        with contextlib.suppress(MeshError):
            identity = await guardian.identify(request.given_token or guardian.tokens.default)
            allowed = identity.access.allows("operator", "read")
        if not allowed:
            return Response(403)
    elif not enabled:
        return Response(404, content_type=None)
    if request.method != "GET":
        return Response(405)
    kind = request.path.removeprefix(PREFIX)
    if not kind:
        return Response(200, "".join(f"{name}\n" for name in KINDS).encode())
    text = await report(kind, _wanted(request))
    return Response(404, b"Unknown profile\n") if text is None else Response(200, text.encode())


def _wanted(request: Request) -> float:
    """The seconds asked for, between 0.1 and what `report` allows."""
    try:
        return max(0.1, parse_duration(f"{request.query.get('seconds') or _SECONDS}s") / 1e9)
    except ValueError:
        return _SECONDS
