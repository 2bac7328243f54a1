"""`builtin/ext-authz`: another service says whether a request may pass.

Source: surface row M81; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions/configuration/ext-authz.
What may change here: nothing that entries have.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from meshagent.catalog.entries.extensions.arguments import Arguments, one_of
from meshagent.catalog.entries.extensions.target import GrpcService, KeyValue, Target

__all__ = [
    "AuthorizationRequest",
    "AuthorizationResponse",
    "Config",
    "ExtAuthz",
    "HttpService",
    "InsertOptions",
    "StringMatcher",
    "WithRequestBody",
]

_LOCATIONS = ("First", "BeforeLast", "AfterFirstMatch", "AfterLastMatch", "BeforeFirstMatch", "BeforeLastMatch")
#: Statuses that Envoy may answer with.
_STATUSES = frozenset(int(status) for status in HTTPStatus) - {101, 102, 103, 418, 425, 451}


class InsertOptions(msgspec.Struct, frozen=True):
    """Where among the filters; a location of "" is before the last one, a match without a name is of the last one."""

    location: str = ""
    filter_name: str = ""

    def problems(self) -> list[str]:
        """What is wrong with them."""
        return one_of("InsertOptions.Location", self.location, _LOCATIONS) if self.location else []


class StringMatcher(msgspec.Struct, frozen=True):
    """Names of headers; one of the texts is set."""

    contains: str = ""
    exact: str = ""
    ignore_case: bool = False
    prefix: str = ""
    safe_regex: str = ""
    suffix: str = ""

    def problems(self) -> list[str]:
        """What is wrong with it."""
        given = [self.contains, self.exact, self.prefix, self.safe_regex, self.suffix]
        if sum(map(bool, given)) == 1:
            return []
        return ["exactly one of Contains, Exact, Prefix, SafeRegex, Suffix must be set"]


class AuthorizationRequest(msgspec.Struct, frozen=True):
    """Which headers of the client are shown, and which are added."""

    allowed_headers: tuple[StringMatcher, ...] = ()
    headers_to_add: tuple[KeyValue, ...] = ()


class AuthorizationResponse(msgspec.Struct, frozen=True):
    """Which headers of the answer go where."""

    allowed_upstream_headers: tuple[StringMatcher, ...] = ()
    allowed_upstream_headers_to_append: tuple[StringMatcher, ...] = ()
    allowed_client_headers: tuple[StringMatcher, ...] = ()
    allowed_client_headers_on_success: tuple[StringMatcher, ...] = ()
    dynamic_metadata_from_headers: tuple[StringMatcher, ...] = ()


class HttpService(msgspec.Struct, frozen=True):
    """A service that is asked over HTTP."""

    target: Target = Target()
    path_prefix: str = ""
    authorization_request: AuthorizationRequest = AuthorizationRequest()
    authorization_response: AuthorizationResponse = AuthorizationResponse()

    def problems(self) -> list[str]:
        """What is wrong with it."""
        found = self.target.problems()
        if self.path_prefix and not self.path_prefix.startswith("/"):
            found.append("HttpService.PathPrefix must begin with '/'")
        answer = self.authorization_response
        for matchers in (
            self.authorization_request.allowed_headers,
            answer.allowed_upstream_headers,
            answer.allowed_upstream_headers_to_append,
            answer.allowed_client_headers,
            answer.allowed_client_headers_on_success,
            answer.dynamic_metadata_from_headers,
        ):
            for matcher in matchers:
                found += matcher.problems()
        return found


class WithRequestBody(msgspec.Struct, frozen=True):
    """How much of the body is shown."""

    max_request_bytes: int = 0
    allow_partial_message: bool = False
    pack_as_bytes: bool = False

    def problems(self) -> list[str]:
        """What is wrong with it."""
        good = 0 < self.max_request_bytes < 1 << 32
        return [] if good else ["WithRequestBody.MaxRequestBytes must be between 1 and 4294967295"]


class Config(msgspec.Struct, frozen=True):
    """The filter."""

    bootstrap_metadata_labels_key: str = ""
    clear_route_cache: bool = False
    grpc_service: GrpcService | None = None
    http_service: HttpService | None = None
    include_peer_certificate: bool = False
    metadata_context_namespaces: tuple[str, ...] = ()
    status_on_error: int = 403
    stat_prefix: str = "response"
    with_request_body: WithRequestBody | None = None

    def problems(self) -> list[str]:
        """What is wrong with it."""
        found = []
        if (self.grpc_service is None) == (self.http_service is None):
            found.append("exactly one of GrpcService or HttpService must be set")
        for part in (self.grpc_service, self.http_service, self.with_request_body):
            if part is not None:
                found += part.problems()
        if self.status_on_error not in _STATUSES:
            found.append(f"StatusOnError: {self.status_on_error} is no status of HTTP")
        return found


class ExtAuthz(Arguments, frozen=True, kw_only=True):
    """`listener_type` is inbound or outbound."""

    listener_type: str = "inbound"
    insert_options: InsertOptions = InsertOptions()
    config: Config = Config()

    def problems(self, *, debug: bool = False) -> list[str]:
        found = self.proxy_type_problems()
        found += one_of("ListenerType", self.listener_type, ("inbound", "outbound"))
        return found + self.insert_options.problems() + self.config.problems()
