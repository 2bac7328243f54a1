"""Logging in against a real issuer on loopback: key sets, discovery, an authorization code with PKCE, TokenReview."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm
from meshtest.inprocess import InProcess, guarded_config

CALLBACK = "http://127.0.0.1:8550/oidc/callback"
NONCE = "n" * 24


class Issuer:
    """A small OpenID provider, and a Kubernetes API that reviews tokens."""

    def __init__(self) -> None:
        self.key = generate_private_key(SECP256R1())
        self.asked: list[str] = []
        self.challenge = ""
        self.nonce = ""
        self.reviewed: dict[str, Any] = {}
        self.review: dict[str, Any] = {}
        self.url = ""
        self.redirect = False

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self.describe)
        app.router.add_get("/keys", self.keys)
        app.router.add_post("/token", self.token)
        app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", self.token_review)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        await web.SockSite(self.runner, listener).start()

    def signed(self, now: float, **claims: Any) -> str:
        body = {"iss": self.url, "aud": "us", "iat": now, "exp": now + 600, **claims}
        return jwt.encode(body, self.key, "ES256", headers={"kid": "1"})

    async def describe(self, request: web.Request) -> web.StreamResponse:
        self.asked.append("discovery")
        if self.redirect:
            raise web.HTTPFound("http://127.0.0.1:1/")
        document = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", "token_endpoint": f"{self.url}/token",
                    "authorization_endpoint": f"{self.url}/authorize"}  # fmt: skip
        return web.json_response(document)

    async def keys(self, request: web.Request) -> web.StreamResponse:
        self.asked.append("keys")
        return web.json_response({"keys": [{**ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "kid": "1"}]})

    async def token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != self.challenge or form["code"] != "good":
            raise web.HTTPBadRequest
        assert form["client_secret"] == "hush" and form["redirect_uri"] == CALLBACK
        return web.json_response({"id_token": self.signed(self.now, aud="client", nonce=self.nonce, user="bob")})

    async def token_review(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer reviewer"
        self.reviewed = await request.json()
        return web.json_response({**self.reviewed, "status": self.review}, status=201)

    now = 0.0


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    running = Issuer()
    await running.start()
    yield running
    await running.runner.cleanup()


@pytest.fixture
async def world(issuer: Issuer) -> AsyncIterator[InProcess]:
    running = InProcess(config=guarded_config())
    await running.start()
    issuer.now = running.clock.now().timestamp()
    yield running
    await running.stop()


async def method(world: InProcess, name: str, kind: str, bind: str, config: dict[str, Any], **more: Any) -> None:
    await world.put("/v1/acl/auth-method", {"Name": name, "Type": kind, "Config": config, **more})
    await world.put("/v1/acl/binding-rule", {"AuthMethod": name, "BindType": "service", "BindName": bind})


async def login(world: InProcess, name: str, bearer: str, **more: Any) -> Any:
    body = {"AuthMethod": name, "BearerToken": bearer, **more}
    return await world.ask("POST", "/v1/acl/login", body, headers={"X-Consul-Token": ""})


@pytest.mark.parametrize("source", ["JWKSURL", "OIDCDiscoveryURL"])
async def test_keys_of_an_issuer(world: InProcess, issuer: Issuer, source: str) -> None:
    config = {
        source: issuer.url + ("/keys" if source == "JWKSURL" else ""),
        "JWTSupportedAlgs": ["ES256"],
        "BoundAudiences": ["us"],
        "ClaimMappings": {"user": "user"},
    }
    await method(world, "ci", "jwt", "svc-${value.user}", config, MaxTokenTTL="10m", TokenLocality="global")
    row = (await login(world, "ci", issuer.signed(issuer.now, user="bob"), Meta={"b": "1", "a": "2"})).json
    assert row["ServiceIdentities"] == [{"ServiceName": "svc-bob"}]
    assert row["Description"] == 'token created via login: {"a":"2","b":"1"}'
    assert row["Local"] is False and row["ExpirationTime"].startswith("2024-01-01T00:10:00")
    asked = len(issuer.asked)
    await login(world, "ci", issuer.signed(issuer.now, user="eve"))
    assert len(issuer.asked) == asked  # its keys are kept
    issuer.key = generate_private_key(SECP256R1())
    await world.clock.advance(11)
    assert (await login(world, "ci", issuer.signed(issuer.now, user="bob"))).status == 200  # a new key is looked for
    out = await world.ask("POST", "/v1/acl/logout", headers={"X-Consul-Token": row["SecretID"]})
    assert out.text == "true"


async def test_an_issuer_that_cannot_be_asked_or_answers_nonsense(world: InProcess, issuer: Issuer) -> None:
    config = {"OIDCDiscoveryURL": issuer.url, "JWTSupportedAlgs": ["ES256"]}
    await method(world, "ci", "jwt", "x", config)
    issuer.redirect = True
    refused = await login(world, "ci", issuer.signed(issuer.now))
    assert refused.status == 500 and "answers 302" in refused.text
    await issuer.runner.cleanup()
    refused = await login(world, "ci", issuer.signed(issuer.now))
    assert refused.status == 500 and "cannot be asked" in refused.text


async def test_kubernetes_reviews_a_service_account(
    world: InProcess, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshagent.agent.acl import issuers

    # The stub speaks no TLS. Only what this module sees is replaced: aiohttp makes a context when it is imported.
    plain = SimpleNamespace(create_default_context=lambda cadata=None: False, SSLError=ssl.SSLError)
    monkeypatch.setattr(issuers, "ssl", plain)
    config = {"Host": issuer.url, "CACert": "pem", "ServiceAccountJWT": "reviewer"}
    await method(world, "kube", "kubernetes", "${serviceaccount.name}", config)
    user = {"username": "system:serviceaccount:default:web", "uid": "u1"}
    issuer.review = {"authenticated": True, "user": user}
    row = (await login(world, "kube", "pod-token")).json
    assert row["ServiceIdentities"] == [{"ServiceName": "web"}]
    assert issuer.reviewed == {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "pod-token"},
    }  # fmt: skip
    for bad in ({"authenticated": False}, {"error": "no"}, {"authenticated": True, "user": {"username": "admin"}}):
        issuer.review = bad
        refused = await login(world, "kube", "pod-token")
        assert refused.status == 403 and "pod-token" not in refused.text
    shown = await world.ask("GET", "/v1/acl/auth-method/kube")
    assert "reviewer" in shown.text
    _, reader = await world.token('acl = "read"')
    shown = await world.ask("GET", "/v1/acl/auth-method/kube", headers={"X-Consul-Token": reader})
    assert "reviewer" not in shown.text and "hidden" in shown.text


async def test_an_authorization_code_with_pkce(world: InProcess, issuer: Issuer) -> None:
    config = {
        "OIDCDiscoveryURL": issuer.url, "OIDCClientID": "client", "OIDCClientSecret": "hush",
        "AllowedRedirectURIs": [CALLBACK], "ClaimMappings": {"user": "user"}, "JWTSupportedAlgs": ["ES256"],
        "OIDCScopes": ["email"],
    }  # fmt: skip
    await method(world, "sso", "oidc", "${value.user}", config)
    asked = {"AuthMethod": "sso", "RedirectURI": CALLBACK, "ClientNonce": NONCE}
    address = (await world.ask("POST", "/v1/acl/oidc/auth-url", asked)).json["AuthURL"]
    assert address.startswith(issuer.url + "/authorize?") and "hush" not in address
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert query["code_challenge_method"] == "S256" and query["scope"] == "openid email"
    issuer.challenge, issuer.nonce = query["code_challenge"], query["nonce"]
    back = {**asked, "State": query["state"], "Code": "good"}
    row = (await world.ask("POST", "/v1/acl/oidc/callback", back)).json
    assert row["ServiceIdentities"] == [{"ServiceName": "bob"}]
    for change in ({"Code": "bad"}, {"State": "other"}, {"ClientNonce": "m" * 24}):
        refused = await world.ask("POST", "/v1/acl/oidc/callback", {**back, **change})
        assert refused.status == 500, refused.text
        assert "hush" not in refused.text
    for change in ({"RedirectURI": "https://evil"}, {"ClientNonce": "short"}, {"AuthMethod": "gone"}):
        assert (await world.ask("POST", "/v1/acl/oidc/auth-url", {**asked, **change})).status in {400, 403}
    assert (await login(world, "sso", "token")).status == 400


async def test_no_rule_matches(world: InProcess, issuer: Issuer) -> None:
    config = {"JWKSURL": f"{issuer.url}/keys", "JWTSupportedAlgs": ["ES256"]}
    await world.put("/v1/acl/auth-method", {"Name": "ci", "Type": "jwt", "Config": config})
    refused = await login(world, "ci", issuer.signed(issuer.now))
    assert (refused.status, refused.text) == (403, "Permission denied")
    assert json.dumps(refused.headers)
