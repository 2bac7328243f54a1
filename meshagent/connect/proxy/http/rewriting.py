"""A filter that calls the server by the name it is dialled by: who is outside the mesh does not know the mesh's names.

Source: surface row M28 (`DisableAutoHostRewrite`); Envoy's `auto_host_rewrite`. Pure. What may change here: nothing but
which name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.exchange import Exchange
    from meshagent.connect.proxy.http.hooks import LocalReply

__all__ = ["RewriteHost"]


class RewriteHost:
    """`Filter`. `host` gives the name, b"" to leave the caller's."""

    def __init__(self, host: Callable[[], bytes]) -> None:
        self._host = host

    def __call__(self, exchange: Exchange) -> LocalReply | None:
        host = self._host()
        if host:
            exchange.head.authority = host
        return None
