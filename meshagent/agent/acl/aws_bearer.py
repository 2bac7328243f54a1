"""The bearer token of an `aws-iam` login: a signed request that only its sender can have made, ready to be sent on.

    {"iam_http_request_method": "POST", "iam_request_url": <base64>, "iam_request_headers": <base64 of JSON>,
     "iam_request_body": <base64 of a form>}

Source: surface row L42; developer.hashicorp.com/consul/docs/security/acl/auth-methods/aws-iam;
github.com/hashicorp/consul-awsauth (MPL: which requests are taken); docs.aws.amazon.com STS GetCallerIdentity, IAM
GetRole and GetUser. The request goes to Amazon (or to the endpoint of the configuration), never where the token says:
host, path, body and headers are those of the two calls and of nothing else. Pure.

What may change here: hosts of further partitions; nothing that takes more of a request.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from meshagent.errors import InternalError

__all__ = ["ENTITY_BODY", "ENTITY_HEADERS", "ENTITY_METHOD", "ENTITY_URL", "SERVER_ID", "SignedRequest", "parse_bearer"]

SERVER_ID = "X-Consul-IAM-ServerID"
ENTITY_METHOD = "X-Consul-IAM-GetEntity-Method"
ENTITY_URL = "X-Consul-IAM-GetEntity-URL"
ENTITY_HEADERS = "X-Consul-IAM-GetEntity-Headers"
ENTITY_BODY = "X-Consul-IAM-GetEntity-Body"

#: A token with both requests and a session token takes 6 KB.
MAX_CHARS = 64 * 1024
#: A signed request has about ten.
MAX_HEADERS = 64
#: Amazon's own headers that may be in a request; others only if the configuration allows them by name.
_AMAZON = frozenset(
    {"x-amz-algorithm", "x-amz-content-sha256", "x-amz-credential", "x-amz-date", "x-amz-security-token",
     "x-amz-signature", "x-amz-signedheaders"}
)  # fmt: skip
#: What speaks of the connection or of the form of the answer is ours to say.
_NOT_SENT = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "expect", "host", "te", "trailer",
     "transfer-encoding", "proxy-authorization", "upgrade"}
)  # fmt: skip
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}\Z")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,32768}\Z")
_SIGNED_HEADERS = re.compile(r"SignedHeaders=([^,\s]+)")
_ENTITY_KEYS = {"GetRole": "RoleName", "GetUser": "UserName"}


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A POST. `url`: where to; `host`: the host that was signed; `headers`: (name, value), in the token's order."""

    url: str
    host: str
    headers: Sequence[tuple[str, str]]
    body: str
    action: str


class _Document(msgspec.Struct):
    iam_http_request_method: str = ""
    iam_request_url: str = ""
    iam_request_headers: str = ""
    iam_request_body: str = ""


def parse_bearer(token: str, config: Mapping[str, Any]) -> tuple[SignedRequest, SignedRequest | None]:
    """(GetCallerIdentity, GetRole or GetUser where the configuration wants the entity's details).

    Raises:
        InternalError: why this token is none, or asks for something else.
    """
    if len(token) > MAX_CHARS:
        raise InternalError(f"invalid token: longer than {MAX_CHARS} characters")
    try:
        document = msgspec.json.decode(token, type=_Document)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InternalError(f"invalid token: {error}") from None
    if document.iam_http_request_method != "POST":
        raise InternalError("iam_http_request_method must be POST")
    headers = _headers(_decoded("iam_request_headers", document.iam_request_headers), "iam_request_headers")
    body = _decoded("iam_request_body", document.iam_request_body)
    fields = _form("iam_request_body", body)
    if fields.get("Action") != "GetCallerIdentity" or fields.keys() - {"Action", "Version"}:
        raise InternalError("iam_request_body error: it must ask for Action=GetCallerIdentity and nothing else")
    _check_amazon_headers(headers, config)
    url = _decoded("iam_request_url", document.iam_request_url)
    caller = _request(url, "STSEndpoint", "sts", headers, body, "GetCallerIdentity", config)
    return caller, (_entity(headers, config) if config.get("EnableIAMEntityDetails") else None)


def _entity(headers: Sequence[tuple[str, str]], config: Mapping[str, Any]) -> SignedRequest:
    """The second request, which travels in the headers of the first."""
    if _only(headers, ENTITY_METHOD) != "POST":
        raise InternalError(f"{ENTITY_METHOD} must be POST")
    url, body = _only(headers, ENTITY_URL), _only(headers, ENTITY_BODY)
    own = _headers(_only(headers, ENTITY_HEADERS), ENTITY_HEADERS)
    where = f"iam_request_headers[{ENTITY_BODY}]"
    fields = _form(where, body)
    action = fields.get("Action", "")
    key = _ENTITY_KEYS.get(action)
    if key is None or not fields.get(key) or fields.keys() - {"Action", "Version", key}:
        raise InternalError(f"{where} error: it must ask for GetRole with RoleName, or GetUser with UserName")
    _check_amazon_headers(own, config)
    return _request(url, "IAMEndpoint", "iam", own, body, action, config)


def _request(
    url: str,
    option: str,
    service: str,
    headers: Sequence[tuple[str, str]],
    body: str,
    action: str,
    config: Mapping[str, Any],
) -> SignedRequest:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InternalError(f"invalid {action} URL: {error}") from None
    host = parts.hostname or ""
    if not parts.scheme or not host or parts.query or parts.fragment or parts.username is not None:
        raise InternalError(f"invalid {action} URL: {url!r}")
    if parts.path not in {"", "/"}:
        raise InternalError(f"invalid {action} URL: the path must be /, not {parts.path!r}")
    endpoint = str(config.get(option) or "")
    if not endpoint and not _amazon(service, host, parts.scheme, port):
        raise InternalError(f'invalid {service.upper()} hostname: "{host}"')
    if config.get("ServerIDHeaderValue"):
        _check_server_id(headers, str(config["ServerIDHeaderValue"]))
    sent = [(name, value) for name, value in headers if name.lower() not in _NOT_SENT]
    target = endpoint.rstrip("/") + "/" if endpoint else f"https://{host}/"
    return SignedRequest(url=target, host=parts.netloc, headers=tuple(sent), body=body, action=action)


def _amazon(service: str, host: str, scheme: str, port: int | None) -> bool:
    known = re.fullmatch(rf"{service}(?:-fips)?(?:\.[a-z0-9-]{{1,32}})?\.amazonaws\.com(?:\.cn)?", host)
    return known is not None and scheme == "https" and port in {None, 443}


def _check_amazon_headers(headers: Sequence[tuple[str, str]], config: Mapping[str, Any]) -> None:
    allowed = _AMAZON | {str(name).lower() for name in config.get("AllowedSTSHeaderValues") or ()}
    for name, _ in headers:
        if name.lower().startswith("x-amz-") and name.lower() not in allowed:
            raise InternalError(f"invalid request header: {name}")


def _check_server_id(headers: Sequence[tuple[str, str]], wanted: str) -> None:
    """That the request was made for us: another server's login cannot be used again here."""
    given = [value for name, value in headers if name.lower() == SERVER_ID.lower()]
    if not given:
        raise InternalError(f'missing header "{SERVER_ID}"')
    if given != [wanted]:
        raise InternalError(f'expected "{wanted}" but got "{",".join(given)}"')
    signed = [_SIGNED_HEADERS.findall(value) for name, value in headers if name.lower() == "authorization"]
    if not signed:
        raise InternalError("missing Authorization header")
    if len(signed) != 1 or len(signed[0]) != 1 or SERVER_ID.lower() not in signed[0][0].split(";"):
        raise InternalError("header wasn't signed")


def _only(headers: Sequence[tuple[str, str]], wanted: str) -> str:
    values = [value for name, value in headers if name.lower() == wanted.lower()]
    if not values:
        raise InternalError(f'missing header "{wanted}"')
    if len(values) > 1:
        raise InternalError(f'invalid value for header "{wanted}" (expected 1 item)')
    return values[0]


def _decoded(field: str, text: str) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except (Base64Error, ValueError) as error:
        raise InternalError(f"invalid token: {field} is not text in base64: {error}") from None


def _headers(text: str, where: str) -> list[tuple[str, str]]:
    """Headers as Go writes them: {"Name": ["value", ...]}; also {"Name": "value"}."""
    try:
        given = msgspec.json.decode(text, type=dict[str, str | list[str]])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InternalError(f"invalid token: {where}: {error}") from None
    pairs = [(name, one) for name, values in given.items() for one in ([values] if isinstance(values, str) else values)]
    if len(pairs) > MAX_HEADERS:
        raise InternalError(f"invalid token: {where}: more than {MAX_HEADERS} headers")
    for name, value in pairs:
        if not _HEADER_NAME.match(name) or not _HEADER_VALUE.match(value):
            raise InternalError(f"invalid token: {where}: {name!r} cannot be sent as a header")
    return pairs


def _form(where: str, body: str) -> dict[str, str]:
    """The fields of a form; each once."""
    try:
        fields = parse_qs(body, keep_blank_values=True, strict_parsing=True, max_num_fields=8, errors="strict")
    except ValueError as error:
        raise InternalError(f"{where} error: {error}") from None
    for name, values in fields.items():
        if len(values) != 1:
            raise InternalError(f"{where} error: unexpected value {name}={values}")
    return {name: values[0] for name, values in fields.items()}
