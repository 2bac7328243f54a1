"""The types of auth methods: their configuration, and what they say of who logs in.

    METHODS["jwt"].check(config)                     raises InternalError in upstream's words
    METHODS["jwt"].claims(config, verified claims)   -> Claims, which selectors and `${...}` see

Source: surface row AC13, section 6.2; developer.hashicorp.com/consul/docs/security/acl/auth-methods; the golden
scenario acl-login. `oidc` is Enterprise upstream and built here. Asking the issuer is `login.py`'s. Pure.

What may change here: a type is a row in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshagent.errors import InternalError

__all__ = ["ALGORITHMS", "METHODS", "Claims", "Method", "check_config"]

#: What a token may be signed with; never "none", never a shared secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA")
_BEFORE = "Invalid Auth Method: "


@dataclass(frozen=True, slots=True)
class Claims:
    """What is known of who logs in: `value.x` and `list.x` of tokens, `serviceaccount.x` of Kubernetes, `entity_x` of
    Amazon (whose tags are a map). `named` are the values that a token may have."""

    value: Mapping[str, str] = field(default_factory=dict)
    list: Mapping[str, Sequence[str]] = field(default_factory=dict)
    serviceaccount: Mapping[str, str] = field(default_factory=dict)
    entity: Mapping[str, Any] = field(default_factory=dict)
    named: tuple[str, ...] = ()

    def variables(self) -> dict[str, str]:
        """What names may hold: `${value.user}`."""
        found = {f"value.{name}": "" for name in self.named}
        found |= {f"value.{name}": text for name, text in self.value.items()}
        found |= {f"serviceaccount.{name}": text for name, text in self.serviceaccount.items()}
        for name, held in self.entity.items():
            found |= {name: held} if isinstance(held, str) else {f"{name}.{key}": text for key, text in held.items()}
        return found


@dataclass(frozen=True, slots=True)
class Method:
    """One type. `fields`: option -> the Go type it decodes to. `selects`: the kind of rows of its selectors."""

    type: str
    fields: Mapping[str, str]
    check: Callable[[Mapping[str, Any]], None]
    selects: str
    example: Callable[[Mapping[str, Any]], Claims]
    usable: bool = True


_JWT_FIELDS = {
    "JWTSupportedAlgs": "list", "BoundAudiences": "list", "ClaimMappings": "map", "ListClaimMappings": "map",
    "OIDCDiscoveryURL": "string", "OIDCDiscoveryCACert": "string", "JWKSURL": "string", "JWKSCACert": "string",
    "JWTValidationPubKeys": "list", "BoundIssuer": "string", "ExpirationLeeway": "duration",
    "NotBeforeLeeway": "duration", "ClockSkewLeeway": "duration", "VerboseOIDCLogging": "bool",
}  # fmt: skip
_OIDC_FIELDS = {
    "OIDCDiscoveryURL": "string", "OIDCDiscoveryCACert": "string", "OIDCClientID": "string",
    "OIDCClientSecret": "string", "OIDCScopes": "list", "OIDCACRValues": "list", "AllowedRedirectURIs": "list",
    "BoundAudiences": "list", "ClaimMappings": "map", "ListClaimMappings": "map", "JWTSupportedAlgs": "list",
    "ExpirationLeeway": "duration", "NotBeforeLeeway": "duration", "ClockSkewLeeway": "duration",
    "OIDCClientUsePKCE": "bool", "VerboseOIDCLogging": "bool",
}  # fmt: skip
_KUBERNETES_FIELDS = {"Host": "string", "CACert": "string", "ServiceAccountJWT": "string"}
_AWS_FIELDS = {
    "BoundIAMPrincipalARNs": "list", "EnableIAMEntityDetails": "bool", "IAMEntityTags": "list",
    "ServerIDHeaderValue": "string", "MaxRetries": "int", "IAMEndpoint": "string", "STSEndpoint": "string",
    "STSRegion": "string", "AllowedSTSHeaderValues": "list",
}  # fmt: skip


def _refuse(text: str) -> InternalError:
    return InternalError(_BEFORE + text)


def _check_algorithms(config: Mapping[str, Any]) -> None:
    for name in config.get("JWTSupportedAlgs") or ():
        if name not in ALGORITHMS:
            raise _refuse(f"Invalid supported algorithm: {name}")


def _check_mappings(config: Mapping[str, Any]) -> None:
    targets = [*(config.get("ClaimMappings") or {}).values(), *(config.get("ListClaimMappings") or {}).values()]
    for target in targets:
        if targets.count(target) > 1:
            raise _refuse(f'ClaimMappings contains multiple mappings for key "{target}"')


def _check_jwt(config: Mapping[str, Any]) -> None:
    sources = [name for name in ("JWTValidationPubKeys", "JWKSURL", "OIDCDiscoveryURL") if config.get(name)]
    if len(sources) != 1:
        raise _refuse(
            "exactly one of 'JWTValidationPubKeys', 'JWKSURL', or 'OIDCDiscoveryURL' must be set for type \"jwt\""
        )
    for at, pem in enumerate(config.get("JWTValidationPubKeys") or ()):
        if not _is_public_key(pem):
            raise _refuse(
                f"error parsing public key JWTValidationPubKeys[{at}]: data does not contain any valid RSA, ECDSA, or "
                "ED25519 public keys"
            )
    for name in ("JWKSURL", "OIDCDiscoveryURL"):
        _check_url(name, config.get(name))
    _check_algorithms(config)
    _check_mappings(config)


def _check_url(name: str, url: Any) -> None:
    """Keys are fetched over TLS; without it only from this host, which is for trying out."""
    if not url:
        return
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}):
        return
    raise _refuse(f"{name} must be an https address: keys that come without TLS are anybody's")


def _is_public_key(pem: Any) -> bool:
    from meshagent.agent.acl.assertions import static_keys  # with PyJWT: only where a key is given

    try:
        return isinstance(pem, str) and bool(static_keys([pem]))
    except InternalError:
        return False


def _check_oidc(config: Mapping[str, Any]) -> None:
    for name in ("OIDCDiscoveryURL", "OIDCClientID"):
        if not config.get(name):
            raise _refuse(f"'{name}' must be set for type \"oidc\"")
    if not config.get("AllowedRedirectURIs"):
        raise _refuse("'AllowedRedirectURIs' must have at least one entry for type \"oidc\"")
    _check_url("OIDCDiscoveryURL", config["OIDCDiscoveryURL"])
    _check_algorithms(config)
    _check_mappings(config)


def _check_kubernetes(config: Mapping[str, Any]) -> None:
    for name in ("Host", "CACert", "ServiceAccountJWT"):
        if not config.get(name):
            raise _refuse(f"Config.{name} is required")


def _check_aws(config: Mapping[str, Any]) -> None:
    from meshagent.agent.acl.aws_entity import check_principals  # with expat: only where such a method is

    try:
        check_principals(config)
    except InternalError as error:
        raise _refuse(str(error)) from None
    for name in ("STSEndpoint", "IAMEndpoint"):
        _check_url(name, config.get(name))


def _jwt_example(config: Mapping[str, Any]) -> Claims:
    mappings, lists = config.get("ClaimMappings") or {}, config.get("ListClaimMappings") or {}
    return Claims(value=dict.fromkeys(mappings.values(), "a"), list=dict.fromkeys(lists.values(), ("a",)))


def _aws_example(config: Mapping[str, Any]) -> Claims:
    seen: dict[str, Any] = dict.fromkeys(("entity_name", "entity_id", "account_id"), "a")
    if config.get("EnableIAMEntityDetails"):
        seen["entity_path"] = "a"
        seen["entity_tags"] = dict.fromkeys(config.get("IAMEntityTags") or (), "a")
    return Claims(entity=seen)


def _kubernetes_example(config: Mapping[str, Any]) -> Claims:
    return Claims(serviceaccount={"namespace": "a", "name": "a", "uid": "a"})


METHODS: Mapping[str, Method] = {
    row.type: row
    for row in (
        Method("aws-iam", _AWS_FIELDS, _check_aws, "acl_entity", _aws_example),
        Method("jwt", _JWT_FIELDS, _check_jwt, "acl_claims", _jwt_example),
        Method("kubernetes", _KUBERNETES_FIELDS, _check_kubernetes, "acl_serviceaccount", _kubernetes_example),
        Method("oidc", _OIDC_FIELDS, _check_oidc, "acl_claims", _jwt_example),
    )
}
#: What upstream's free edition names when it refuses a type; `oidc` is ours beside it.
_NAMED = "[aws-iam jwt kubernetes]"

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: type(value) is int,
    "duration": lambda value: isinstance(value, str | int | float) and not isinstance(value, bool),
    "list": lambda value: isinstance(value, list | tuple) and all(isinstance(one, str) for one in value),
    "map": lambda value: (
        isinstance(value, dict) and all(isinstance(one, str) for pair in value.items() for one in pair)
    ),
}


def check_config(kind: str, config: Mapping[str, Any]) -> None:
    """The configuration of a method of that type. Raises InternalError in upstream's words, naming the field."""
    method = METHODS.get(kind)
    if method is None:
        raise _refuse(f"Type should be one of: {_NAMED}")
    unknown = sorted(name for name in config if name not in method.fields)
    if unknown:
        raise _refuse(f"error decoding config: 1 error(s) decoding:\n\n* '' has invalid keys: {', '.join(unknown)}")
    for name, value in config.items():
        if value is not None and not _TYPES[method.fields[name]](value):
            raise _refuse(f"error decoding config: 1 error(s) decoding:\n\n* '{name}' expected a {method.fields[name]}")
    method.check(config)
