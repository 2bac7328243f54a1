"""`grpc.health.v1.Health`: whether this agent serves; ours, Consul's does not have it.

Source: github.com/grpc/grpc, doc/health-checking.md. The whole ("") and every service that is here are SERVING while
the agent runs: it ends its calls when it stops. What may change here: what is asked before the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshagent.agent.grpc.methods import STREAM, UNARY, Method, Service
from meshagent.agent.grpc.protobuf import INT, TEXT, Field, Schema
from meshagent.errors import NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.grpc.channel import Call
    from meshagent.agent.grpc.server import GrpcServer

__all__ = ["SERVICE"]

SERVING, SERVICE_UNKNOWN = 1, 3
_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked about, "" for the whole."""

    service: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """How it is."""

    status: int = 0


ASKED = Schema(Asked, (Field(1, "service", TEXT),))
STATUS = Schema(Status, (Field(1, "status", INT),))


def _is_here(agent: Agent, name: str) -> bool:
    server: GrpcServer = agent.extras["grpc"].server
    return not name or any(service.name == name for service in server.present())


async def check(agent: Agent, call: Call, message: bytes) -> bytes:
    """How it is now."""
    if not _is_here(agent, ASKED.decode(message).service):
        raise NotFound("unknown service")
    return STATUS.encode(Status(SERVING))


async def watch(agent: Agent, call: Call, message: bytes) -> AsyncIterator[bytes]:
    """How it is, until the end."""
    here = _is_here(agent, ASKED.decode(message).service)
    yield STATUS.encode(Status(SERVING if here else SERVICE_UNKNOWN))
    while not call.over:
        await call.next()


def files() -> dict[str, bytes]:
    """What reflection tells of it."""
    from meshagent.agent.grpc.descriptors import Enum, Rpc, described

    return described(
        "grpc/health/v1/health.proto",
        SERVICE.name,
        (
            Rpc("Check", "HealthCheckRequest", "HealthCheckResponse"),
            Rpc("Watch", "HealthCheckRequest", "HealthCheckResponse", answers=True),
        ),
        {"HealthCheckRequest": ASKED, "HealthCheckResponse": STATUS},
        (Enum("HealthCheckResponse.status", "ServingStatus", _STATUSES),),
    )


SERVICE = Service("grpc.health.v1.Health", (Method("Check", UNARY, check), Method("Watch", STREAM, watch)), files=files)
