"""Every gRPC service, in one table: a row is a `Service` of the module that has its handlers.

Source: surface section 7.9, row X36. What may change here: rows. A module named here is loaded by every agent, so it
loads protobuf and what else is large where it uses it.
"""

from __future__ import annotations

from meshagent.agent.dataplane import table as dataplane
from meshagent.agent.grpc import health, reflection
from meshagent.agent.peering import serving as peering
from meshagent.agent.xds import service as xds

__all__ = ["SERVICES"]

SERVICES = (
    health.SERVICE,
    *reflection.SERVICES,
    peering.SERVICE,
    xds.SERVICE,
    *dataplane.SERVICES,
)
