"""Intentions for requests: who may send this one, and which rule says so. Pure.

Made anew for each snapshot. What does not depend on the request is decided once for each source; a source whose
intention has permissions is asked for each request. Without an intention the default decides; without a valid identity
nobody comes in.

Source: surface rows M26, M50-M53; Envoy's RBAC filter (403, `RBAC: access denied`). What may change here: what a
request is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from meshagent.connect.intentions import Decision, Default, decide
from meshagent.connect.permissions import HttpRequest, Tokens, decide_request
from meshagent.connect.proxy.authz import identify
from meshagent.connect.proxy.http import replies
from meshagent.connect.proxy.http.exchange import Exchange
from meshagent.connect.proxy.http.hooks import LocalReply
from meshagent.connect.proxy.http.messages import RequestHead
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["Rbac"]

log = logging.getLogger("proxy.rbac")

_MAX_SOURCES = 4096


class Rbac:
    """A `Filter`."""

    def __init__(
        self, snapshot: ProxySnapshot, tallies: Tallies, jwt: Callable[[RequestHead], Tokens] | None = None
    ) -> None:
        """`jwt` looks for tokens in a request; without it no requirement is met."""
        self._snapshot = snapshot
        self._tallies = tallies
        self._default = Default(snapshot.default_allow, snapshot.default_reason)
        self._jwt = jwt
        #: (service, decision or None when each request decides) by URI.
        self._sources: dict[str, tuple[str, Decision | None]] = {}

    def __call__(self, exchange: Exchange) -> LocalReply | None:
        uri = exchange.peer.identity
        source = self._sources.get(uri)
        if source is None:
            source = self._source(uri)
        exchange.identity, decision = source
        if decision is None:
            decision = self.decide(uri, exchange.head)
        if decision.audited:
            log.info(
                "intention audit: would be denied: source=%s path=%r reason=%s",
                uri,
                exchange.head.path,
                decision.reason,
            )
        if decision.allowed:
            return None
        self._tallies.denied += 1
        log.warning("request denied: source=%s path=%r reason=%s", uri, exchange.head.path, decision.reason)
        return replies.DENIED

    def decide(self, uri: str, head: RequestHead) -> Decision:
        """Whether the holder of this URI may send this request."""
        snapshot = self._snapshot
        identity = identify(snapshot, uri)
        if isinstance(identity, Decision):
            return identity
        if (identity.namespace, identity.partition) != ("default", "default"):
            return Decision(self._default.allow, self._default.reason)
        tokens: Tokens = self._jwt(head) if self._jwt is not None else lambda _: False
        return decide_request(
            snapshot.intentions, identity.name, snapshot.service, request_of(head), self._default, "", tokens
        )

    def _source(self, uri: str) -> tuple[str, Decision | None]:
        snapshot = self._snapshot
        identity = identify(snapshot, uri)
        found: tuple[str, Decision | None]
        if isinstance(identity, Decision):
            found = "", identity
        elif (identity.namespace, identity.partition) != ("default", "default"):
            found = identity.name, Decision(self._default.allow, self._default.reason)
        else:
            decision = decide(snapshot.intentions, identity.name, snapshot.service, self._default)
            one = decision.intention
            found = identity.name, None if one is not None and (one.permissions or one.jwt) else decision
        if len(self._sources) >= _MAX_SOURCES:
            self._sources.clear()
        self._sources[uri] = found
        return found


def request_of(head: RequestHead) -> HttpRequest:
    """A request as permissions read it: without its query, several headers of one name joined."""
    headers: dict[str, str] = {":authority": head.authority.decode("latin-1"), "host": head.authority.decode("latin-1")}
    for name, value in head.headers:
        key, text = name.decode("latin-1"), value.decode("utf-8", "surrogateescape")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    path = head.path.partition(b"?")[0].decode("latin-1")
    return HttpRequest(head.method.decode("latin-1"), path, headers)
