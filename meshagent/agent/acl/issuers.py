"""I/O edge: asking issuers and clusters: key sets, OIDC discovery, code for tokens, Kubernetes' TokenReview.

Source: OpenID Connect Discovery 1.0 section 4, RFC 7517, RFC 6749 section 4.1.3 with RFC 7636 (PKCE); kubernetes.io
"TokenReview" (authentication.k8s.io/v1). What is fetched is bounded, and kept for `KEYS_S`; a token signed by a key
that is not known makes one more try. No redirect is followed.

What may change here: sizes and times.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from multidict import CIMultiDict

from meshagent.agent.acl.assertions import Keys, parse_keys, static_keys
from meshagent.agent.acl.methods import Claims
from meshagent.clock import Clock
from meshagent.errors import Denied, InternalError

__all__ = ["Answer", "Issuers", "send"]

#: How long keys are kept, and the least time between two looks for a new one.
KEYS_S = 300.0
AGAIN_S = 10.0
TIMEOUT_S = 10.0
MAX_BYTES = 1 << 20
MAX_KEPT = 256

_REVIEW = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCOUNT = "system:serviceaccount:"


class Issuers:
    """What one server asks, with what it remembers of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[tuple[str, str], tuple[float, Keys]] = {}
        self._discovered: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}

    async def keys(self, config: Mapping[str, Any], *, anew: bool = False) -> Keys:
        """The keys of a method. `anew`: those that are kept did not do. Raises InternalError."""
        pems = config.get("JWTValidationPubKeys")
        if pems:
            return static_keys(pems)
        url, ca = config.get("JWKSURL"), str(config.get("JWKSCACert") or "")
        if not url:
            document = await self.discover(config)
            url, ca = document["jwks_uri"], str(config.get("OIDCDiscoveryCACert") or "")
        key = (str(url), ca)
        now = self._clock.monotonic()
        held = self._keys.get(key)
        if held is not None and now - held[0] < (AGAIN_S if anew else KEYS_S):
            return held[1]
        found = parse_keys(await _fetch("GET", str(url), ca))
        if len(self._keys) >= MAX_KEPT:
            self._keys.clear()
        self._keys[key] = now, found
        return found

    async def discover(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What an issuer says of itself. Raises InternalError."""
        url, ca = str(config["OIDCDiscoveryURL"]).rstrip("/"), str(config.get("OIDCDiscoveryCACert") or "")
        now = self._clock.monotonic()
        held = self._discovered.get((url, ca))
        if held is not None and now - held[0] < KEYS_S:
            return held[1]
        body = await _fetch("GET", url + "/.well-known/openid-configuration", ca)
        document = _object(body, "the description of the issuer")
        if str(document.get("issuer", "")).rstrip("/") != url:
            raise InternalError(f"the issuer at {url} calls itself {document.get('issuer')!r}")
        for name in ("jwks_uri", "authorization_endpoint", "token_endpoint"):
            if name in document and not _same_safety(str(document[name]), url):
                raise InternalError(f"the issuer at {url} names a {name} without TLS")
        if not document.get("jwks_uri"):
            raise InternalError(f"the issuer at {url} names no jwks_uri")
        if len(self._discovered) >= MAX_KEPT:
            self._discovered.clear()
        self._discovered[url, ca] = now, document
        return document

    async def redeem(self, config: Mapping[str, Any], code: str, redirect_uri: str, verifier: str) -> str:
        """The ID token for an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5). Raises
        InternalError.
        """
        document = await self.discover(config)
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": str(config["OIDCClientID"]),
            "code_verifier": verifier,
        }
        if config.get("OIDCClientSecret"):
            fields["client_secret"] = str(config["OIDCClientSecret"])
        ca = str(config.get("OIDCDiscoveryCACert") or "")
        body = await _fetch("POST", str(document["token_endpoint"]), ca, form=fields)
        token = _object(body, "the answer of the issuer").get("id_token")
        if not isinstance(token, str):
            raise InternalError("the issuer gave no ID token for the code")
        return token

    async def review(self, config: Mapping[str, Any], token: str) -> Claims:
        """Whose service account a token of Kubernetes is. Raises Denied: nobody's; InternalError: the API fails."""
        question = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        }
        url = str(config["Host"]).rstrip("/") + _REVIEW
        headers = {"Authorization": f"Bearer {config['ServiceAccountJWT']}"}
        body = await _fetch("POST", url, str(config["CACert"]), headers=headers, json=msgspec.json.encode(question))
        status = _object(body, "the TokenReview").get("status")
        if not isinstance(status, dict):
            raise InternalError("the TokenReview has no status")
        if status.get("error"):
            raise Denied(f"lookup failed: {status['error']}")
        if status.get("authenticated") is not True:
            raise Denied("lookup failed: service account jwt not valid")
        user = status.get("user")
        name = str(user.get("username", "")) if isinstance(user, dict) else ""
        namespace, colon, account = name.removeprefix(_ACCOUNT).partition(":")
        if not name.startswith(_ACCOUNT) or not colon or not namespace or not account:
            raise Denied("lookup failed: unexpected username format")
        uid = str(user.get("uid", "")) if isinstance(user, dict) else ""
        return Claims(serviceaccount={"namespace": namespace, "name": account, "uid": uid})


def _same_safety(url: str, issuer: str) -> bool:
    return urlsplit(url).scheme == "https" or urlsplit(issuer).scheme == "http"


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InternalError(f"{what} is no JSON object: {error}") from error


async def _fetch(
    method: str,
    url: str,
    ca: str,
    *,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    json: bytes | None = None,
) -> bytes:
    """The body of a successful answer of at most `MAX_BYTES`. Raises InternalError; no secret is in its text."""
    sent = dict(headers or {})
    if json is not None:
        sent["Content-Type"] = "application/json"
    answer = await send(method, url, ca, headers=tuple(sent.items()), body=form if json is None else json)
    if not 200 <= answer.status < 300:
        raise InternalError(f"{url} answers {answer.status}")
    return answer.body


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said; `body` has at most `MAX_BYTES`."""

    status: int
    content_type: str
    body: bytes


async def send(
    method: str,
    url: str,
    ca: str = "",
    *,
    headers: Sequence[tuple[str, str]] = (),
    body: Mapping[str, str] | bytes | str | None = None,
) -> Answer:
    """One request and its answer, of any status; `ca` is an authority in PEM. Raises InternalError; no secret is in its
    text.
    """
    try:
        tls = ssl.create_default_context(cadata=ca) if ca else ssl.create_default_context()
    except ssl.SSLError as error:
        raise InternalError(f"the authority of {url} cannot be read: {error.reason}") from error
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=tls)) as session,
            session.request(method, url, headers=CIMultiDict(headers), data=body, allow_redirects=False) as response,
        ):
            read = await response.content.read(MAX_BYTES + 1)
            while len(read) <= MAX_BYTES and not response.content.at_eof():
                read += await response.content.read(MAX_BYTES + 1 - len(read))
            if len(read) > MAX_BYTES:
                raise InternalError(f"{url} answers more than {MAX_BYTES} bytes")
            return Answer(response.status, response.headers.get("Content-Type", ""), read)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise InternalError(f"{url} cannot be asked: {type(error).__name__}: {error}") from error
