"""Certificates of a mesh for tests of the proxy: a trust domain with its root, and leafs as snapshots carry them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from meshagent.connect import certs, spiffe
from meshagent.connect.snapshot import ProxySnapshot

TRUST_DOMAIN = "11111111-2222-3333-4444-555555555555.consul"


class TrustDomain:
    """A root, and leafs signed by it."""

    def __init__(self, name: str = TRUST_DOMAIN) -> None:
        self.name = name
        self.key = certs.new_key("ec", 256)
        self.now = datetime.now(UTC)
        self.root = certs.root(self.key, "root", f"spiffe://{name}", 7, self.now, timedelta(days=1))

    def identity(self, service: str) -> str:
        return spiffe.format(spiffe.service_id(self.name, "dc1", service))

    def leaf(self, service: str, *, ago: timedelta = timedelta(), uri: str = "") -> tuple[str, str]:
        """(certificate, key) in PEM, valid for an hour from `ago`."""
        key = certs.new_key("ec", 256)
        uri = uri or self.identity(service)
        request = certs.request(key, uri)
        pem = certs.service_leaf(request, self.root, self.key, 8, self.now - ago, timedelta(hours=1), uri)
        return pem.decode(), key.decode()

    def snapshot(self, service: str, **fields: object) -> ProxySnapshot:
        """A snapshot of a proxy of `service` with its leaf."""
        chain, key = self.leaf(service)
        given = {"leaf_chain": chain, "leaf_key": key, "roots": (self.root.decode(),), **fields}
        return ProxySnapshot(f"{service}-proxy", service, "dc1", self.name, True, "default", **given)  # type: ignore[arg-type]
