"""Parts that several extensions have: whom to call, how often to try again.

Source: surface rows M81, M83, M84; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions (ext-authz,
wasm, otel-access-logging: `Target`, `RetryPolicy`). What may change here: nothing that entries have.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.entries.extensions.arguments import duration_problem

__all__ = ["GrpcService", "KeyValue", "RetryBackOff", "RetryPolicy", "ServiceName", "Target", "local_address"]

#: What a URI may name: what is on the proxy's own host.
_LOCAL = {"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1", "[::1]": "::1"}


class ServiceName(msgspec.Struct, frozen=True):
    """A service of the mesh, an upstream of the proxy."""

    name: str = ""


class Target(msgspec.Struct, frozen=True):
    """Who is called: an upstream, or an address of the proxy's own host; `timeout` of one call."""

    service: ServiceName = ServiceName()
    uri: str = ""
    timeout: str = ""

    def problems(self) -> list[str]:
        """What is wrong with it."""
        if bool(self.service.name) == bool(self.uri):
            return ["exactly one of Target.Service or Target.URI must be set"]
        found = []
        if self.uri and local_address(self.uri) is None:
            found.append(
                f'invalid host for Target.URI "{self.uri}": expected "localhost:<port>", "127.0.0.1:<port>", or '
                '"::1:<port>"'
            )
        return found + duration_problem("Target.Timeout", self.timeout)


class KeyValue(msgspec.Struct, frozen=True):
    """A header."""

    key: str = ""
    value: str = ""


class GrpcService(msgspec.Struct, frozen=True):
    """A gRPC service."""

    target: Target = Target()
    authority: str = ""
    initial_metadata: tuple[KeyValue, ...] = ()

    def problems(self) -> list[str]:
        """What is wrong with it."""
        return self.target.problems()


class RetryBackOff(msgspec.Struct, frozen=True):
    """How long to wait between tries."""

    base_interval: str = ""
    max_interval: str = ""


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often to try again; -1 and None leave it to Envoy."""

    retry_back_off: RetryBackOff = RetryBackOff()
    num_retries: int | None = None

    def problems(self) -> list[str]:
        """What is wrong with it."""
        back_off = self.retry_back_off
        return duration_problem("RetryBackOff.BaseInterval", back_off.base_interval) + duration_problem(
            "RetryBackOff.MaxInterval", back_off.max_interval
        )


def local_address(uri: str) -> tuple[str, int] | None:
    """("127.0.0.1", 9191) of "localhost:9191" or "http://127.0.0.1:9191/x"; None for another host, or none."""
    place = uri.partition("://")[2] if "://" in uri else uri
    host, _, port = place.partition("/")[0].rpartition(":")
    if host not in _LOCAL or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        return None
    return _LOCAL[host], int(port)
