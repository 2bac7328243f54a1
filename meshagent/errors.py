"""The few errors of meshagent, each mapped once to what an edge must answer.

Source: HTTP statuses are Consul's (an error raised by a server is 500, a bad parameter 400); DNS rcodes are RFC 1035
section 4.1.1; gRPC codes are grpc/status codes. The edges (HTTP, DNS, CLI, RPC) read the class fields and never map an
error themselves. New errors go here only if no existing one fits; their messages are what a user reads, so they name
the field, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "BadRequest",
    "ConfigError",
    "Conflict",
    "CorruptData",
    "Denied",
    "InternalError",
    "LocalProtocolError",
    "MeshError",
    "NoLeader",
    "NotFound",
    "RemoteProtocolError",
    "Timeout",
    "TooLarge",
    "Unavailable",
]


class MeshError(Exception):
    """Root of all expected errors; `str(error)` is the message for the user, without a trailing newline."""

    http_status: ClassVar[int] = 500
    dns_rcode: ClassVar[int] = 2  # SERVFAIL
    grpc_code: ClassVar[int] = 13  # INTERNAL
    retryable: ClassVar[bool] = False


class InternalError(MeshError):
    """A validation failure raised behind the API: Consul answers 500 for nearly all of them (surface row C3)."""


class BadRequest(MeshError):
    """The caller's parameter or body is wrong; the message names it."""

    http_status = 400
    dns_rcode = 1  # FORMERR
    grpc_code = 3  # INVALID_ARGUMENT


class ConfigError(MeshError):
    """Configuration that cannot be used; `problems` holds every problem found, each with its place.

    `warnings` are what else was found on the way: a file that was skipped may be why something is missing.
    """

    http_status = 500
    grpc_code = 9  # FAILED_PRECONDITION

    def __init__(self, problems: str | list[str], warnings: Sequence[str] = ()) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        self.warnings = list(warnings)
        super().__init__("\n".join(self.problems))


class NotFound(MeshError):
    """What was named does not exist."""

    http_status = 404
    dns_rcode = 3  # NXDOMAIN
    grpc_code = 5


class Conflict(MeshError):
    """The state moved on, or another object stands in the way."""

    http_status = 409
    grpc_code = 10  # ABORTED


class Denied(MeshError):
    """The token does not allow it."""

    http_status = 403
    dns_rcode = 3  # denied reads look like missing names (surface row D33)
    grpc_code = 7


class TooLarge(MeshError):
    """A body over its limit."""

    http_status = 413
    grpc_code = 8  # RESOURCE_EXHAUSTED


class NoLeader(MeshError):
    """No server can take a write or a consistent read now."""

    grpc_code = 14  # UNAVAILABLE
    retryable = True

    def __init__(self, message: str = "No cluster leader") -> None:
        super().__init__(message)


class Unavailable(MeshError):
    """A part of this agent cannot work now (disk full, shutting down)."""

    http_status = 503
    grpc_code = 14
    retryable = True


class Timeout(MeshError):
    """The answer did not come in time."""

    grpc_code = 4
    retryable = True


class CorruptData(MeshError):
    """A file on disk fails its checksum; the message names the file, the offset and the way out."""

    grpc_code = 15  # DATA_LOSS


class LocalProtocolError(MeshError):
    """We tried to send something a protocol does not allow: our bug."""


class RemoteProtocolError(MeshError):
    """The peer sent something a protocol does not allow: counted, the connection closed."""

    http_status = 400
    dns_rcode = 1
    grpc_code = 3
