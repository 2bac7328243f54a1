"""What a gRPC service is: a row with its methods, and what a handler is given.

    SERVICE = Service(
        "hashicorp.consul.dns.DNSService",
        (Method("Query", UNARY, query),),
        present=lambda agent: agent.upstream is None,
        files=("hashicorp/consul/dns/dns.proto",),
    )

    async def query(agent: Agent, call: Call, message: bytes) -> bytes: ...                       # UNARY
    async def watch(agent: Agent, call: Call, message: bytes) -> AsyncIterator[bytes]: ...        # STREAM: yields
    async def talk(agent: Agent, call: Call) -> None: ...                                         # DIALOGUE

`call.token` is the caller's token, `call.metadata` everything he said beside his messages. A handler raises a MeshError
(`grpc_code` and words become the status) or `Refused`. Those of the first two kinds are cancelled when the caller is
gone; a dialogue is told by `call.next()`, which then gives `Finished` (code 0: he only says no more) or `Closed`.

Source: github.com/grpc/grpc, doc/statuscodes.md. What may change here: what else a row says of a service.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["DIALOGUE", "MAX_MESSAGE", "STREAM", "UNARY", "Method", "Refused", "Service"]

#: One message and one answer.
UNARY = "unary"
#: One message and many answers.
STREAM = "stream"
#: Many of both.
DIALOGUE = "dialogue"

#: Of a message that a caller sends, unless the method says otherwise.
MAX_MESSAGE = 64 * 1024


class Refused(MeshError):
    """A call ends with this status: where no error of ours has it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Method:
    """One method. `max_message`: bytes of what a caller sends."""

    name: str
    kind: str
    handler: Callable[..., Any]
    max_message: int = MAX_MESSAGE


@dataclass(frozen=True, slots=True)
class Service:
    """`present(agent)`: whether this agent has it. `files` gives the service's file, and what it imports, to who asks
    by reflection: serialized `FileDescriptorProto`s by name; None when the library has them, or nobody should."""

    name: str
    methods: tuple[Method, ...]
    present: Callable[[Agent], bool] = lambda agent: True
    files: Callable[[], dict[str, bytes]] | None = None
