"""I/O edge: TLS of a gateway's listener for the world: its certificates by server name, or its leaf; files are read.

With one certificate that one is shown to everybody; with several each to who asks for one of its names, and the
gateway's leaf to others, as Consul has it. Clients need no certificate.

Source: surface rows M27, M31, M34; RFC 6066 section 3 (server names); RFC 6125 section 6.4.3 (a wildcard is one whole
label). What may change here: other places of certificates.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeAlias

from meshagent.connect.gateways.edge import Certificate, EdgeListener, EdgeTLS
from meshagent.connect.mesh_settings import TlsBounds
from meshagent.connect.proxy.contexts import ALPN
from meshagent.connect.proxy.layers.openssl import TlsContext
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import MeshError, Unavailable

__all__ = ["EdgeContexts", "ServerNames"]

#: `certs.MAX_PEM_BYTES`.
_MAX_BYTES = 64 * 1024

_Key: TypeAlias = "tuple[object, ...]"


class EdgeContexts:
    """The context of one listener, made anew when what it is made of has changed."""

    def __init__(self) -> None:
        self.context: TlsContext | None = None
        self._key: _Key = ()

    def follow(self, listener: EdgeListener, snapshot: ProxySnapshot) -> str:
        """Take up settings, leaf and files as they are now. What is wrong, "" when nothing is: then the last context
        that could be made goes on."""
        tls = listener.tls
        if tls is None:
            return ""
        try:
            pairs = [_pair(one) for one in tls.certificates]
            key = (tls, listener.protocol, snapshot.leaf_chain, snapshot.roots, pairs)
            if key != self._key:
                self.context, self._key = _made(tls, pairs, ALPN.get(listener.protocol, ()), snapshot), key
        except MeshError as error:
            return f"listener {listener.name}: {error}"
        return ""


class ServerNames:
    """Contexts by the names of their certificates; of two with one name the first counts."""

    def __init__(self, rows: Iterable[tuple[tuple[str, ...], TlsContext]]) -> None:
        self._contexts: dict[str, TlsContext] = {}
        for names, context in rows:
            for name in names:
                self._contexts.setdefault(name.lower(), context)

    def find(self, name: str) -> TlsContext | None:
        """The context for a server name; None: the listener's own."""
        name = name.lower().rstrip(".")
        found = self._contexts.get(name)
        if found is None:
            _, dot, rest = name.partition(".")
            found = self._contexts.get(f"*.{rest}") if dot else None
        return found


def _pair(certificate: Certificate) -> tuple[str, str]:
    """(chain, key) as PEM. Raises Unavailable."""
    if not certificate.files:
        return certificate.chain, certificate.key
    return _read(certificate.chain), _read(certificate.key)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise Unavailable(f"the certificate cannot be read: {path}: {os.strerror(error.errno or 0)}") from error
    if len(data) > _MAX_BYTES:
        raise Unavailable(f"the certificate cannot be read: {path}: more than {_MAX_BYTES} bytes")
    return data.decode("ascii", "replace")


def _made(tls: EdgeTLS, pairs: list[tuple[str, str]], alpn: tuple[str, ...], snapshot: ProxySnapshot) -> TlsContext:
    bounds = TlsBounds(tls.min_version, tls.max_version, tls.cipher_suites)

    def context(chain: str, key: str, names: ServerNames | None = None) -> TlsContext:
        by_name = names.find if names is not None else None
        return TlsContext(
            server_side=True, chain=chain, key=key, roots=(), alpn=alpn, bounds=bounds, for_all=True, by_name=by_name
        )

    if len(pairs) == 1:
        return context(*pairs[0])
    if not snapshot.leaf_chain:
        raise Unavailable("there is no leaf certificate yet")
    names = None
    if pairs:
        from meshagent.connect.certs import facts  # 10 MB, for who has several

        names = ServerNames((facts(chain.encode()).dns_names, context(chain, key)) for chain, key in pairs)
    return context(snapshot.leaf_chain, snapshot.leaf_key, names)
