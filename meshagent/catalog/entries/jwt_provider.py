"""`jwt-provider`: who issues the tokens that intentions and gateways ask for.

Source: surface row M35; developer.hashicorp.com/consul/docs/connect/config-entries/jwt-provider. What may change here:
fields are added with a default.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import urlsplit

from meshagent.catalog.entries.entry import Entry, Nanoseconds, Part, changed, multierror, required

__all__ = ["JWTProvider"]

DEFAULT_CLOCK_SKEW_S = 30


class LocalJWKS(Part, frozen=True, kw_only=True):
    """A key set as base64 text, or a file on the proxy's host."""

    jwks: str = ""
    filename: str = ""

    def problem(self) -> str:
        if bool(self.jwks) == bool(self.filename):
            return "must specify exactly one of String or filename for local keyset"
        try:
            base64.b64decode(self.jwks, validate=True)
        except (binascii.Error, ValueError):
            return "JWKS must be valid base64 encoded string"
        return ""


class RetryBackOff(Part, frozen=True, kw_only=True):
    """Pauses between tries."""

    base_interval: Nanoseconds = 0
    max_interval: Nanoseconds = 0


class RetryPolicy(Part, frozen=True, kw_only=True):
    """How often a key set is asked for."""

    num_retries: int = 0
    retry_policy_back_off: RetryBackOff | None = None


class TrustedCA(Part, frozen=True, kw_only=True):
    """Where the CA of the key server is."""

    filename: str = ""
    environment_variable: str = ""
    inline_string: str = ""
    inline_bytes: str = ""


class CAProviderInstance(Part, frozen=True, kw_only=True):
    """A certificate provider of Envoy's."""

    instance_name: str = ""
    certificate_name: str = ""


class KeyServerTLS(Part, frozen=True, kw_only=True):
    """How the key server is trusted."""

    ca_certificate_provider_instance: CAProviderInstance | None = None
    trusted_ca: TrustedCA | None = None


class JWKSCluster(Part, frozen=True, kw_only=True):
    """How a proxy reaches the key server."""

    discovery_type: str = ""
    tls_certificates: KeyServerTLS | None = None
    connect_timeout: Nanoseconds = 0


class RemoteJWKS(Part, frozen=True, kw_only=True):
    """A key set to be fetched."""

    uri: str = ""
    request_timeout_ms: int = 0
    cache_duration: Nanoseconds = 0
    fetch_asynchronously: bool = False
    retry_policy: RetryPolicy | None = None
    jwks_cluster: JWKSCluster | None = None

    def problem(self) -> str:
        if not self.uri:
            return "Remote JWKS URI is required"
        if " " in self.uri or not (self.uri.startswith("/") or _scheme(self.uri)):
            return f'Remote JWKS URI is invalid: parse "{self.uri}": invalid URI for request, uri: {self.uri}'
        return ""


def _scheme(uri: str) -> str:
    """What a URI begins with, "" for what is none."""
    try:
        return urlsplit(uri).scheme
    except ValueError:  # a bracket without its other one
        return ""


class JSONWebKeySet(Part, frozen=True, kw_only=True):
    """Exactly one of the two."""

    local: LocalJWKS | None = None
    remote: RemoteJWKS | None = None

    def problem(self) -> str:
        if (self.local is None) == (self.remote is None):
            return "must specify exactly one of Local or Remote JSON Web key set"
        return self.local.problem() if self.local is not None else self.remote.problem() if self.remote else ""


class LocationHeader(Part, frozen=True, kw_only=True):
    """A header that holds the token."""

    name: str = ""
    value_prefix: str = ""
    forward: bool = False


class LocationName(Part, frozen=True, kw_only=True):
    """A query parameter or cookie that holds the token."""

    name: str = ""


class Location(Part, frozen=True, kw_only=True):
    """Where a token is looked for: exactly one of the three."""

    header: LocationHeader | None = None
    query_param: LocationName | None = None
    cookie: LocationName | None = None

    def problem(self) -> str:
        if sum(one is not None for one in (self.header, self.query_param, self.cookie)) != 1:
            return "must set exactly one of: JWT location header, query param or cookie"
        if self.header is not None and not self.header.name:
            return "JWT location header name must be specified"
        if self.query_param is not None and not self.query_param.name:
            return "JWT location query param name must be specified"
        if self.cookie is not None and not self.cookie.name:
            return "JWT location cookie name must be specified"
        return ""


class Forwarding(Part, frozen=True, kw_only=True):
    """The header that tells the service what the token says."""

    header_name: str = ""
    pad_forward_payload_header: bool = False


class CacheConfig(Part, frozen=True, kw_only=True):
    """Checked tokens that are kept."""

    size: int = 0


class JWTProvider(Entry, frozen=True, kw_only=True, tag="jwt-provider"):
    """An issuer, its keys, and where its tokens are."""

    json_web_key_set: JSONWebKeySet | None = None
    issuer: str = ""
    audiences: tuple[str, ...] = ()
    locations: tuple[Location, ...] = ()
    forwarding: Forwarding | None = None
    clock_skew_seconds: int = 0
    cache_config: CacheConfig | None = None

    def normalised(self) -> JWTProvider:
        result: JWTProvider = changed(self, clock_skew_seconds=self.clock_skew_seconds or DEFAULT_CLOCK_SKEW_S)
        return result

    def problem(self) -> str:
        if not self.name:
            return required(self.name)
        if self.json_web_key_set is None:
            return "JSONWebKeySet is required"
        found = self.json_web_key_set.problem()
        if found:
            return found
        problems = [problem for one in self.locations if (problem := one.problem())]
        if problems:
            return multierror(problems)
        if self.forwarding is not None and not self.forwarding.header_name:
            return "Header name required for forwarding config"
        return ""
