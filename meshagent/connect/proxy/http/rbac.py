"""Intentions for requests: who may send this one? A filter of the inbound side.

What intentions say of a source without looking at requests is remembered until the snapshot changes.

Source: surface rows M26, M50-M53, M61; Envoy's RBAC filter (403 `RBAC: access denied`). What may change here: what of a
request is shown to permissions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshagent.connect.intentions import Decision
from meshagent.connect.permissions import HttpRequest
from meshagent.connect.proxy.authz import authorize_request, source_of
from meshagent.connect.proxy.http.replies import DENIED
from meshagent.connect.proxy.http.tokens import Tokens
from meshagent.connect.snapshot import ProxySnapshot

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.exchange import Exchange
    from meshagent.connect.proxy.http.hooks import LocalReply
    from meshagent.connect.proxy.http.messages import Headers, RequestHead

__all__ = ["AUDITED", "Rbac"]

log = logging.getLogger("proxy.inbound")

_PLAIN = HttpRequest()
#: The detail of a request that only an audit let pass; telemetry counts it.
AUDITED = "rbac_audited"
#: Sources that are remembered.
_MOST = 4096


class Rbac:
    """`Filter`. `state` gives the snapshot in force, `on_denied` is told of each request that may not pass."""

    def __init__(
        self,
        state: Callable[[], ProxySnapshot],
        on_denied: Callable[[], None],
        tokens_of: Callable[[ProxySnapshot], Tokens] | None = None,
    ) -> None:
        """`tokens_of` makes what looks for the tokens of requests; without it no requirement is met."""
        self._tokens_of = tokens_of
        self._tokens: Tokens | None = None
        self._state = state
        self._on_denied = on_denied
        self._of: ProxySnapshot | None = None
        #: By identity: (source service, decision); None where the request decides.
        self._known: dict[str, tuple[str, Decision | None]] = {}

    def __call__(self, exchange: Exchange) -> LocalReply | None:
        decision = self.decide(exchange)
        if decision.allowed:
            if decision.audited:
                exchange.detail = AUDITED
            if exchange.tokens is not None:
                exchange.tokens.settle()
            return None
        self._on_denied()
        log.warning(
            "request denied: source=%s path=%r reason=%s",
            exchange.peer.identity or "(none)", exchange.head.path, decision.reason,
        )  # fmt: skip
        return DENIED

    def decide(self, exchange: Exchange) -> Decision:
        """Whether the intentions of now let it pass."""
        snapshot = self._state()
        if snapshot is not self._of:
            self._of, self._known = snapshot, {}
            self._tokens = self._tokens_of(snapshot) if self._tokens_of and snapshot.jwt_providers else None
        identity = exchange.peer.identity
        known = self._known.get(identity)
        if known is None:
            known = self._look(snapshot, identity)
        exchange.identity, decision = known
        if decision is None:
            if self._tokens is None:
                return authorize_request(snapshot, identity, _seen(exchange.head))
            if exchange.tokens is None:  # kept for a later look: the token itself may not be on its way any more
                exchange.tokens = self._tokens.of(exchange.head)
            return authorize_request(snapshot, identity, _seen(exchange.head), exchange.tokens)
        return decision

    def _look(self, snapshot: ProxySnapshot, identity: str) -> tuple[str, Decision | None]:
        first = authorize_request(snapshot, identity, _PLAIN)
        one = first.intention
        if first.audited:
            log.info("intention audit: would be denied: source=%s reason=%s", identity, first.reason)
        if len(self._known) >= _MOST:
            self._known.clear()
        found = (source_of(identity), None if one is not None and (one.permissions or one.jwt) else first)
        self._known[identity] = found
        return found


def _seen(head: RequestHead) -> HttpRequest:
    """A request as permissions see it."""
    path, _, _ = head.path.partition(b"?")
    authority = _text(head.authority)
    return HttpRequest(
        _text(head.method),
        _text(path),
        {
            ":method": _text(head.method),
            ":path": _text(head.path),
            ":authority": authority,
            "host": authority,
            **_by_name(head.headers),
        },
    )


def _by_name(headers: Headers) -> dict[str, str | tuple[str, ...]]:
    found: dict[str, str | tuple[str, ...]] = {}
    for name, value in headers:
        key, text = _text(name), _text(value)
        before = found.get(key)
        found[key] = text if before is None else (*((before,) if isinstance(before, str) else before), text)
    return found


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
