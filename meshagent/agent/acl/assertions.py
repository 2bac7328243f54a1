"""A JSON Web Token that somebody logs in with: its signature, what it must say, and the claims that are mapped.

Source: RFC 7515, RFC 7519; surface row AC13; the golden scenario acl-login (whose refusals are repeated where they are
upstream's own). Keys come from `issuers.py` or the configuration; only the algorithms of the configuration are taken,
never "none" and never a shared secret. Signatures and keys are checked by `catalog/acl/jwt_tokens.py`; its `verify`
is not used because upstream's logins give no leeway to a token with an expiration. Pure: time is an argument.

What may change here: checks of further claims; nothing that takes more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meshagent.agent.acl.methods import Claims
from meshagent.durations import parse_duration
from meshagent.errors import BadRequest, Denied, InternalError

__all__ = ["Keys", "mapped", "parse_keys", "static_keys", "verified"]

#: A login token larger than this is nobody's.
MAX_TOKEN_CHARS = 16 * 1024
#: Slack where the configuration says nothing, in seconds: upstream's.
_LEEWAY_S = 150.0
_CLOCK_SKEW_S = 60.0
_INVALID = "error validating claims: go-jose/go-jose/jwt: validation failed, "

Keys = Sequence[Any]


def static_keys(pems: Sequence[str]) -> Keys:
    """The keys of a configuration. Raises InternalError."""
    from meshagent.catalog.acl.jwt_tokens import load_keys  # with cryptography

    try:
        return load_keys(pems)
    except BadRequest as error:
        raise InternalError(f"error parsing public key: {error}") from error


def parse_keys(document: bytes) -> Keys:
    """The keys of a JSON Web Key Set (RFC 7517). Raises InternalError: it is none."""
    from meshagent.catalog.acl.jwt_tokens import load_keyset  # with cryptography

    try:
        return load_keyset(document)
    except BadRequest as error:
        raise InternalError(f"the key set of the issuer cannot be read: {error}") from error


def verified(token: str, keys: Keys, config: Mapping[str, Any], now: float, *, nonce: str = "") -> dict[str, Any]:
    """The claims of a token that is signed and valid at POSIX second `now`.

    Raises:
        InternalError: why it is not.
    """
    if not token:
        raise InternalError("missing jwt")
    if len(token) > MAX_TOKEN_CHARS:
        raise InternalError(f"error parsing token: longer than {MAX_TOKEN_CHARS} characters")
    if token.count(".") != 2:
        raise InternalError("error parsing token: go-jose/go-jose: compact JWS format must have three parts")
    claims = _signed(token, keys, [str(name) for name in config.get("JWTSupportedAlgs") or ("RS256",)])
    _check_issuer(claims, str(config.get("BoundIssuer") or ""))
    _check_times(claims, config, now)
    _check_audience(claims, config.get("BoundAudiences") or ())
    if nonce and claims.get("nonce") != nonce:
        raise InternalError("error validating claims: the token was made for another login")
    return claims


def _signed(token: str, keys: Keys, algorithms: Sequence[str]) -> dict[str, Any]:
    from meshagent.catalog.acl.jwt_tokens import signed_claims  # with cryptography

    try:
        return signed_claims(token, keys, algorithms)
    except Denied as error:
        raise InternalError(
            "error verifying token signature: no known key successfully validated the token signature"
        ) from error


def _check_issuer(claims: Mapping[str, Any], issuer: str) -> None:
    if issuer and claims.get("iss") != issuer:
        raise InternalError(f"{_INVALID}invalid issuer claim (iss)")


def _check_times(claims: Mapping[str, Any], config: Mapping[str, Any], now: float) -> None:
    times = {}
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InternalError(f"error validating claims: {name} is not a number")
        times[name] = value
    if all(value is None for value in times.values()):
        raise InternalError("error validating claims: no issue time (iat), not-before (nbf) or expiration (exp)")
    skew = _leeway(config, "ClockSkewLeeway", _CLOCK_SKEW_S)
    issued = max(value for value in (times["iat"], times["nbf"], 0) if value is not None)
    ends = times["exp"] if times["exp"] is not None else issued + _leeway(config, "ExpirationLeeway", _LEEWAY_S)
    begins = times["nbf"]
    if begins is None:
        begins = times["iat"] if times["iat"] is not None else ends - _leeway(config, "NotBeforeLeeway", _LEEWAY_S)
    if now > ends + skew:
        raise InternalError(f"{_INVALID}token is expired (exp)")
    if now < begins - skew:
        raise InternalError(f"{_INVALID}token not valid yet (nbf)")


def _leeway(config: Mapping[str, Any], name: str, default: float) -> float:
    """Seconds; 0 or nothing is the default, negative is none."""
    value = config.get(name)
    if not value:
        return default
    try:
        ns = parse_duration(value) if isinstance(value, str) else int(value)
    except ValueError:
        return default
    return max(ns / 1e9, 0.0)


def _check_audience(claims: Mapping[str, Any], bound: Sequence[str]) -> None:
    given = claims.get("aud", ())
    audiences = [given] if isinstance(given, str) else given
    if not bound:
        return
    if not isinstance(audiences, list | tuple) or not any(one in bound for one in audiences):
        raise InternalError("error validating claims: aud claim does not match any bound audience")


def mapped(claims: Mapping[str, Any], config: Mapping[str, Any]) -> Claims:
    """The claims that the configuration names, under its names. What is missing is "" in names that are put together,
    and absent for selectors: `"nomad_service" in value` asks whether the claim is there.

    Raises:
        InternalError: one of them is neither text nor a list of texts.
    """
    values: dict[str, str] = {}
    for source, target in (config.get("ClaimMappings") or {}).items():
        found = _reach(claims, source)
        if found is None:
            continue
        if isinstance(found, bool):
            values[target] = "true" if found else "false"
        elif isinstance(found, str | int | float):
            values[target] = str(found)
        else:
            raise InternalError(f"error extracting claims: claim {source!r} is neither text nor number nor truth value")
    lists: dict[str, Sequence[str]] = {}
    for source, target in (config.get("ListClaimMappings") or {}).items():
        found = _reach(claims, source)
        if found is None:
            continue
        items = found if isinstance(found, list) else [found]
        if not all(isinstance(one, str | int | float) for one in items):
            raise InternalError(f"error extracting claims: claim {source!r} is not a list of texts")
        lists[target] = tuple(str(one) for one in items)
    return Claims(value=values, list=lists, named=tuple((config.get("ClaimMappings") or {}).values()))


def _reach(claims: Any, path: str) -> Any:
    """The claim of a name, or of a JSON pointer ("/a/b")."""
    if not path.startswith("/"):
        return claims.get(path)
    at: Any = claims
    for step in path[1:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, dict):
            at = at.get(step)
        elif isinstance(at, list) and step.isascii() and step.isdigit() and int(step) < len(at):
            at = at[int(step)]
        else:
            return None
    return at
