"""Logging in: from a bearer token or an authorization code to a token of ours.

Source: surface rows AC2, AC3, AC13, AC14; the golden scenario acl-login. What is made out of a login lives as long as
its method says (`MaxTokenTTL`), is local unless the method says global, and goes with its method.

OpenID Connect keeps no state between its two requests: the PKCE verifier and the nonce are made from the state that
the issuer hands back and the secret that the caller keeps (`ClientNonce`), so that any server can finish what another
began.

What may change here: how another type says who logs in.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from meshagent.agent.acl.assertions import mapped, verified
from meshagent.agent.acl.binding import Bound, bind
from meshagent.agent.acl.issuers import Issuers
from meshagent.agent.acl.methods import Claims
from meshagent.catalog.acl.model import AuthMethod, Token
from meshagent.catalog.acl.validation import expiration
from meshagent.errors import BadRequest, Denied, InternalError, MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["Logins"]

_MIN_NONCE = 16


class Logins:
    """Logins at one server."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._issuers = Issuers(agent.clock)

    async def login(self, method: AuthMethod, bearer: str, meta: Mapping[str, str], created: str) -> Token:
        """A new token, not written yet. Raises Denied: no rule matches; InternalError: the bearer is not believed."""
        claims = await self._claims(method, bearer)
        return self._token(method, claims, meta, created)

    async def _claims(self, method: AuthMethod, bearer: str) -> Claims:
        if method.type == "jwt":
            return mapped(await self._verified(method.config, bearer), method.config)
        if method.type == "kubernetes":
            if not bearer:
                raise InternalError("missing jwt")
            return await self._issuers.review(method.config, bearer)
        if method.type == "aws-iam":
            from meshagent.agent.acl.aws import aws_claims  # with expat: only where such a method is

            return await aws_claims(bearer, method.config, self._agent.clock)
        raise BadRequest(f"auth method {method.name!r} of type {method.type} takes no bearer token: login -type=oidc")

    async def _verified(self, config: Mapping[str, Any], bearer: str, *, nonce: str = "") -> dict[str, Any]:
        now = self._agent.clock.now().timestamp()
        keys = await self._issuers.keys(config)
        try:
            return verified(bearer, keys, config, now, nonce=nonce)
        except MeshError as error:
            if "signature" not in str(error):
                raise
            fresh = await self._issuers.keys(config, anew=True)  # the issuer may have a new key
            if fresh is keys:
                raise
            return verified(bearer, fresh, config, now, nonce=nonce)

    def _token(self, method: AuthMethod, claims: Claims, meta: Mapping[str, str], created: str) -> Token:
        agent = self._agent
        bound: Bound = bind(agent.store.acl, method, claims, agent.datacenter)
        if not bound:
            raise Denied("Permission denied")
        described = "token created via login"
        if meta:
            described += ": " + json.dumps(dict(sorted(meta.items())), separators=(",", ":"), ensure_ascii=False)
        return Token(
            accessor_id=agent.new_id(),
            secret_id=agent.new_id(),
            description=described,
            policies=tuple(bound.policies),
            roles=tuple(bound.roles),
            service_identities=tuple(bound.services),
            node_identities=tuple(bound.nodes),
            templated_policies=tuple(bound.templated),
            local=method.token_locality != "global" or bool(agent.extras.get("primary")),  # noqa: S105  a word
            auth_method=method.name,
            expiration_time=expiration(method.max_token_ttl, "", agent.clock.now()),
            create_time=created,
        )

    # --- OpenID Connect --------------------------------------------------------------------------------------------

    async def auth_url(self, method: AuthMethod, redirect_uri: str, state: str, client_nonce: str) -> str:
        """Where the person who logs in is to be sent. Raises InternalError, BadRequest."""
        config = method.config
        _check_oidc(method, redirect_uri, client_nonce)
        document = await self._issuers.discover(config)
        endpoint = document.get("authorization_endpoint")
        if not endpoint:
            raise InternalError("the issuer names no authorization_endpoint")
        challenge = _digest(_verifier(client_nonce, state).encode())
        scopes = dict.fromkeys(("openid", *(config.get("OIDCScopes") or ())))
        query = {
            "response_type": "code",
            "client_id": str(config["OIDCClientID"]),
            "redirect_uri": redirect_uri,
            "scope": " ".join(scopes),
            "state": state,
            "nonce": _nonce(client_nonce, state),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if config.get("OIDCACRValues"):
            query["acr_values"] = " ".join(config["OIDCACRValues"])
        return f"{endpoint}{'&' if '?' in str(endpoint) else '?'}{urlencode(query)}"

    async def callback(
        self, method: AuthMethod, code: str, redirect_uri: str, state: str, client_nonce: str, created: str
    ) -> Token:
        """A new token for the code that the issuer gave, not written yet. Raises as `login`."""
        config = method.config
        _check_oidc(method, redirect_uri, client_nonce)
        token = await self._issuers.redeem(config, code, redirect_uri, _verifier(client_nonce, state))
        audiences = config.get("BoundAudiences") or (config["OIDCClientID"],)
        expected = {**config, "BoundIssuer": config["OIDCDiscoveryURL"], "BoundAudiences": audiences}
        document = await self._issuers.discover(config)
        expected["BoundIssuer"] = document["issuer"]
        claims = await self._verified(expected, token, nonce=_nonce(client_nonce, state))
        return self._token(method, mapped(claims, config), {}, created)


def _check_oidc(method: AuthMethod, redirect_uri: str, client_nonce: str) -> None:
    if method.type != "oidc":
        raise BadRequest(f"auth method {method.name!r} is of type {method.type}, not oidc")
    if redirect_uri not in (method.config.get("AllowedRedirectURIs") or ()):
        raise BadRequest(f"unauthorized redirect_uri: {redirect_uri}")
    if len(client_nonce) < _MIN_NONCE:
        raise BadRequest(f"ClientNonce must have at least {_MIN_NONCE} characters")


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _verifier(client_nonce: str, state: str) -> str:
    return _digest(f"verifier:{len(state)}:{state}:{client_nonce}".encode())


def _nonce(client_nonce: str, state: str) -> str:
    return _digest(f"nonce:{len(state)}:{state}:{client_nonce}".encode())
