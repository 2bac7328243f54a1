"""The API for the agent itself: a request goes to the dispatcher without a socket, and its answer comes back as values.

Source: surface row G41 (watches read the agent's own API); remote execution keeps its jobs in keys. What may change
here: nothing; guards that depend on where a request comes from see the loopback address.
"""

from __future__ import annotations

from collections.abc import Mapping

from meshagent.agent.http.dispatch import Dispatcher, Incoming
from meshagent.agent.http.response import StreamingResponse
from meshagent.errors import InternalError

__all__ = ["ask"]


async def ask(
    dispatcher: Dispatcher, method: str, target: str, token: str = "", body: bytes = b""
) -> tuple[int, Mapping[str, str], bytes]:
    """One request with `token` ("": none): status, headers with names in lower case, body."""
    headers = {"X-Consul-Token": token} if token else {}

    async def read_body(limit: int) -> bytes:
        return body

    answer = (await dispatcher.answer(Incoming(method, target, headers, "127.0.0.1", read_body))).answer
    if isinstance(answer, StreamingResponse):
        raise InternalError(f"{target} does not end")
    lines = answer.head.decode("latin-1").split("\r\n")[1:]
    found = dict(line.split(": ", 1) for line in lines if line)
    return answer.status, {name.lower(): text for name, text in found.items()}, answer.body
