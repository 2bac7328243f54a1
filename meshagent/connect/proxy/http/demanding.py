"""The tokens that a route of an API gateway demands: a filter that runs once the route is known. Pure.

Source: surface rows M31, M32, M35; developer.hashicorp.com/consul/docs/connect/gateways/api-gateway/secure-traffic
(`JWT` of routes and listeners). What may change here: what else a route demands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshagent.connect.proxy.http.replies import NO_TOKEN

if TYPE_CHECKING:
    from meshagent.catalog.entries.service_intentions import IntentionJWT
    from meshagent.connect.proxy.http.exchange import Exchange
    from meshagent.connect.proxy.http.hooks import Filter, LocalReply
    from meshagent.connect.proxy.http.tokens import Tokens

__all__ = ["demand"]

log = logging.getLogger("proxy.edge")


def demand(wanted: IntentionJWT, tokens: Callable[[], Tokens]) -> Filter:
    """Requests without a good token of one of the providers are refused; `tokens` gives the providers of now."""

    def check(exchange: Exchange) -> LocalReply | None:
        found = tokens().of(exchange.head)
        if found(wanted):
            found.settle()
            return None
        log.info("request refused: path=%r reason=no good token", exchange.head.path)
        return NO_TOKEN

    return check
