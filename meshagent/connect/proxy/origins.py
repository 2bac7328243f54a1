"""How the instances behind a gateway are reached, where that is not the TLS of the mesh. No I/O.

Source: surface rows M28, X17, X18. What may change here: another way is another class.
"""

from __future__ import annotations

from typing import Protocol

from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.layers.openssl import TlsContext
from meshagent.connect.proxy.layers.tls import Tls

__all__ = ["PLAIN", "Origin", "Outside"]


class Origin(Protocol):
    """What stands between a gateway and an instance."""

    def tls(self, host: Host, alpn: tuple[str, ...] = ()) -> Tls | None:
        """The client's side of a new connection; None for bytes as they are."""


class _Plain:
    """Bytes as they are: the client's own TLS passes, or none is wanted."""

    def tls(self, host: Host, alpn: tuple[str, ...] = ()) -> Tls | None:
        return None


PLAIN: Origin = _Plain()


class Outside:
    """TLS to a service outside the mesh: OpenSSL verifies authority and, where it was given, the name."""

    def __init__(self, context: TlsContext, server_name: str) -> None:
        self._context = context
        self._server_name = server_name

    def tls(self, host: Host, alpn: tuple[str, ...] = ()) -> Tls | None:
        return Tls(self._context, server_side=False, server_name=self._server_name or None, alpn=alpn)
