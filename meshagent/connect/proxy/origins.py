"""How the instances behind a gateway are reached, where that is not the TLS of the mesh. No I/O.

Source: surface rows M28, X17, X18. What may change here: another way is another class.
"""

from __future__ import annotations

import base64
from typing import Protocol

from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.layers.openssl import TlsContext
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.errors import RemoteProtocolError

__all__ = ["PLAIN", "Origin", "Outside", "is_for"]

_MAX_KNOWN = 64


class Origin(Protocol):
    """What stands between a gateway and an instance."""

    def tls(self, host: Host, alpn: tuple[str, ...] = ()) -> Tls | None:
        """The client's side of a new connection; None for bytes as they are."""

    def wrong(self, tls: Tls | None) -> str:
        """Why the peer of a connection, whose handshake is done, is not who was wanted; "" when he is."""


class _Plain:
    """Bytes as they are: the client's own TLS passes, or none is wanted."""

    def tls(self, host: Host, alpn: tuple[str, ...] = ()) -> Tls | None:
        return None

    def wrong(self, tls: Tls | None) -> str:
        return ""


PLAIN: Origin = _Plain()


class Outside:
    """TLS to a service outside the mesh: OpenSSL verifies the authority; with a server name, the certificate has to be
    for it, too."""

    def __init__(self, context: TlsContext, server_name: str) -> None:
        self._context = context
        self._server_name = server_name
        #: Whether a certificate (DER) is for the name: services have few of them.
        self._known: dict[bytes, bool] = {}

    def tls(self, host: Host, alpn: tuple[str, ...] = ()) -> Tls | None:
        return Tls(self._context, server_side=False, server_name=self._server_name or None, alpn=alpn)

    def wrong(self, tls: Tls | None) -> str:
        if tls is None or not self._server_name:
            return ""
        der = tls.peer_certificate
        if der not in self._known:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[der] = is_for(der, self._server_name)
        return "" if self._known[der] else f"the certificate of the service is not for {self._server_name}"


def is_for(der: bytes, name: str) -> bool:
    """Whether a certificate has a name among its alternatives: a URI, or a DNS name, whose first label may be `*`."""
    from meshagent.connect import certs

    body = base64.encodebytes(der).decode("ascii")
    try:
        facts = certs.facts(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n".encode())
    except RemoteProtocolError:
        return False
    lower = name.lower()
    wider = "*." + lower.partition(".")[2]
    return name in facts.uris or any(one.lower() in {lower, wider} for one in facts.dns_names)
