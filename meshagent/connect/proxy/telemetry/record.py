"""What is known of one finished request or connection: made only when somebody wants it (access log, tap, span).

Source: Envoy's access log documentation, for what a line can tell. What may change here: fields are added with a
default.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Record"]

Headers = list[tuple[bytes, bytes]]


class Record(msgspec.Struct):
    """`started` is wall time in seconds; durations are seconds, negative when unknown. `status` 0 is no answer. A
    connection has no `method`. `flags` and `detail` are Envoy's."""

    direction: str
    source: str
    destination: str
    route: str
    started: float
    duration_s: float
    status: int = 0
    flags: str = ""
    detail: str = ""
    method: str = ""
    path: str = ""
    authority: str = ""
    scheme: str = ""
    protocol: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_s: float = -1.0
    tries: int = 0
    upstream: str = ""
    cluster: str = ""
    peer_address: str = ""
    peer_identity: str = ""
    peer_subject: str = ""
    local_identity: str = ""
    sni: str = ""
    #: Of a connection that a listener refused before it was anybody's.
    refused: bool = False
    #: "mutual", or "none" where the peer proved nothing.
    tls: str = "mutual"
    grpc_status: int = -1
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    sampled: bool = False
    request_headers: Headers = []
    response_headers: Headers = []
    trailers: Headers = []

    def request_header(self, name: bytes) -> str:
        """The first value of a request header (lower case); "" without one."""
        return _first(self.request_headers, name)

    def tapped(self) -> dict[str, Any]:
        """As `tap` shows it."""
        return {
            "direction": self.direction,
            "source": self.source,
            "destination": self.destination,
            "route": self.route,
            "started": self.started,
            "duration_ms": round(self.duration_s * 1000, 3),
            "status": self.status,
            "grpc_status": self.grpc_status if self.grpc_status >= 0 else None,
            "flags": self.flags,
            "detail": self.detail,
            "method": self.method,
            "path": self.path,
            "authority": self.authority,
            "protocol": self.protocol,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "tries": self.tries,
            "upstream": self.upstream,
            "tls": self.tls,
            "trace_id": self.trace_id,
        }


def _first(headers: Headers, name: bytes) -> str:
    return next((value.decode("utf-8", "replace") for key, value in headers if key == name), "")
