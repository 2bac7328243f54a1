"""Tokens of requests in Envoy's words: who issues them, where they stand, how keys are fetched. Pure.

The filter reads the tokens of all providers that intentions ask for and lets requests without any pass: the RBAC filter
behind it decides, by the claims that this one leaves in the metadata.

What an entry says of clock skew, of the cache of tokens and of timeouts below a second is rendered as it says; Consul
1.20 leaves the first two out and cuts the last.

Source: surface rows X6, X7, M35; the recorded resources of a real Consul (golden mesh data, xds); Envoy's
JwtAuthentication. What may change here: further fields of providers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence

from meshagent.catalog.entries.jwt_provider import (
    JWKSCluster,
    JWTProvider,
    KeyServerTLS,
    Location,
    RemoteJWKS,
    RetryPolicy,
)
from meshagent.connect.envoy import durations, outside
from meshagent.connect.envoy.principals import JWT_FILTER, payload_key
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.connect.intentions import Intention, providers_of
from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["clusters", "clusters_of", "filter_of", "http"]

_DEFAULT_TIMEOUT_MS = 1000
_TYPES = frozenset({"STATIC", "STRICT_DNS", "LOGICAL_DNS", "EDS", "ORIGINAL_DST"})


def http(intentions: Iterable[Intention], providers: Sequence[JWTProvider]) -> Resource | None:
    """The filter of requests to one service, None where no intention asks for a token."""
    return filter_of(_asked_for(intentions, providers))


def filter_of(providers: Sequence[JWTProvider]) -> Resource | None:
    """The filter that reads the tokens of these providers, None without one."""
    if not providers:
        return None
    wanted = [
        {"requires_any": {"requirements": [{"provider_name": one.name}, {"allow_missing_or_failed": {}}]}}
        for one in providers
    ]
    requires = wanted[0] if len(wanted) == 1 else {"requires_all": {"requirements": wanted}}
    message = typed(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        {
            "providers": {one.name: _provider(one) for one in providers},
            "rules": [{"match": {"prefix": "/"}, "requires": requires}],
        },
    )
    return {"name": JWT_FILTER, "typed_config": message}


def clusters(snapshot: ProxySnapshot) -> dict[str, Resource]:
    """The clusters of key servers that a sidecar asks."""
    return clusters_of(_asked_for(snapshot.intentions, snapshot.jwt_providers))


def clusters_of(providers: Iterable[JWTProvider]) -> dict[str, Resource]:
    """The clusters of the key servers of these providers, by name."""
    found: dict[str, Resource] = {}
    for one in providers:
        keys = one.json_web_key_set
        if keys is not None and keys.remote is not None:
            found[_cluster_name(one)] = _cluster(_cluster_name(one), keys.remote)
    return found


def _asked_for(intentions: Iterable[Intention], providers: Sequence[JWTProvider]) -> list[JWTProvider]:
    known = {one.name: one for one in providers}
    return [known[name] for name in providers_of(intentions) if name in known]


def _cluster_name(provider: JWTProvider) -> str:
    return f"jwks_cluster_{provider.name}"


def _provider(one: JWTProvider) -> Resource:
    found: Resource = {"payload_in_metadata": payload_key(one.name)}
    if one.issuer:
        found["issuer"] = one.issuer
    if one.audiences:
        found["audiences"] = list(one.audiences)
    if one.clock_skew_seconds > 0:
        found["clock_skew_seconds"] = one.clock_skew_seconds
    if one.cache_config is not None and one.cache_config.size > 0:
        found["jwt_cache_config"] = {"jwt_cache_size": one.cache_config.size}
    if one.forwarding is not None:
        found["forward_payload_header"] = one.forwarding.header_name
        if one.forwarding.pad_forward_payload_header:
            found["pad_forward_payload_header"] = True
    for location in one.locations:
        _locate(found, location)
    return {**found, **_keys(one)}


def _locate(found: Resource, location: Location) -> None:
    if location.header is not None:
        header = {"name": location.header.name}
        if location.header.value_prefix:
            header["value_prefix"] = location.header.value_prefix
        found.setdefault("from_headers", []).append(header)
        if location.header.forward:
            found["forward"] = True
    elif location.query_param is not None:
        found.setdefault("from_params", []).append(location.query_param.name)
    elif location.cookie is not None:
        found.setdefault("from_cookies", []).append(location.cookie.name)


def _keys(one: JWTProvider) -> Resource:
    keys = one.json_web_key_set
    local = keys.local if keys is not None else None
    if local is not None:
        if local.filename:
            return {"local_jwks": {"filename": local.filename}}
        try:
            text = base64.b64decode(local.jwks, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""  # entries are checked when they are written; without keys no token is good
        return {"local_jwks": {"inline_string": text}}
    remote = keys.remote if keys is not None else None
    return {"remote_jwks": _remote(one, remote)} if remote is not None else {}


def _remote(one: JWTProvider, remote: RemoteJWKS) -> Resource:
    found: Resource = {
        "http_uri": {
            "uri": remote.uri,
            "cluster": _cluster_name(one),
            "timeout": durations.of_milliseconds(remote.request_timeout_ms or _DEFAULT_TIMEOUT_MS),
        }
    }
    if remote.fetch_asynchronously:
        found["async_fetch"] = {"fast_listener": True}
    if remote.cache_duration > 0:
        found["cache_duration"] = durations.of_nanoseconds(remote.cache_duration)
    if remote.retry_policy is not None:
        found["retry_policy"] = _retries(remote.retry_policy)
    return found


def _retries(policy: RetryPolicy) -> Resource:
    found: Resource = {"num_retries": policy.num_retries}
    back_off = policy.retry_policy_back_off
    if back_off is not None and back_off.base_interval:
        pauses = {"base_interval": durations.of_nanoseconds(back_off.base_interval)}
        if back_off.max_interval:
            pauses["max_interval"] = durations.of_nanoseconds(back_off.max_interval)
        found["retry_back_off"] = pauses
    return found


def _cluster(name: str, remote: RemoteJWKS) -> Resource:
    how = remote.jwks_cluster or JWKSCluster()
    kind = how.discovery_type.upper()
    return outside.server(
        name,
        remote.uri,
        kind=kind if kind in _TYPES else "STRICT_DNS",
        connect_timeout_ns=how.connect_timeout,
        validation=_validation(how.tls_certificates),
    )


def _validation(tls: KeyServerTLS | None) -> Resource:
    """Whom a key server has to be vouched for by: who is named, else the authorities of the system."""
    given = tls.ca_certificate_provider_instance if tls is not None else None
    if given is not None:
        names = {"instance_name": given.instance_name, "certificate_name": given.certificate_name}
        return {"ca_certificate_provider_instance": {key: value for key, value in names.items() if value}}
    trusted = tls.trusted_ca if tls is not None else None
    if trusted is None:
        return outside.SYSTEM
    for key in ("filename", "environment_variable", "inline_string", "inline_bytes"):
        value = getattr(trusted, key)
        if value:
            return {"trusted_ca": {key: value}}
    return {"trusted_ca": {"inline_string": ""}}
