"""I/O edge: the credentials and the region of this process at Amazon, found where Amazon's own tools look for them.

In this order: environment; a web identity (`AWS_WEB_IDENTITY_TOKEN_FILE` with `AWS_ROLE_ARN`, as in EKS); the profile
of `~/.aws/credentials` and `~/.aws/config`; the container's address (ECS, EKS Pod Identity); the instance's metadata
(IMDSv2 only).

Source: docs.aws.amazon.com "Standardized credential providers", "Use the Instance Metadata Service", STS
AssumeRoleWithWebIdentity. Secrets are in no error text. What may change here: further places.
"""

from __future__ import annotations

import configparser
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from meshagent.agent.acl.aws_entity import xml_leaves
from meshagent.agent.cli.output import fail
from meshagent.agent.cli.sigv4 import Credentials
from meshagent.errors import InternalError

__all__ = ["find_credentials", "find_region", "post_form", "sts_url"]

TIMEOUT_S = 5.0
MAX_BYTES = 1 << 20
#: Where an instance and a container ask; the environment may name another instance endpoint (as Amazon's tools do).
_INSTANCE = "http://169.254.169.254"
_CONTAINER = "http://169.254.170.2"


def find_credentials(region: str, sts_endpoint: str = "") -> Credentials:
    """The first that is found. Ends the command where there are none."""
    sources: tuple[Callable[[], Credentials | None], ...] = (
        _from_environment,
        lambda: _from_web_identity(region, sts_endpoint),
        _from_profile,
        _from_container,
        _from_instance,
    )
    for source in sources:
        found = source()
        if found is not None:
            return found
    raise fail("No AWS credentials found: environment, web identity, profile, container and instance have none")


def find_region(given: str) -> str:
    """The region of the flag, the environment, the profile or the instance. Ends the command where there is none."""
    region = given or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    if not region:
        region = _profile().get("region", "")
    if not region:
        region = _instance("/latest/meta-data/placement/region") or ""
    if not region:
        raise fail("No AWS region found: use -aws-region or AWS_REGION")
    if not region.replace("-", "").isalnum() or not region.isascii():
        raise fail(f"Not an AWS region: {region!r}")
    return region


def sts_url(region: str) -> str:
    """STS of that region."""
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def post_form(url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The answer of a service. Ends the command where it refuses."""
    try:
        return _ask(urllib.request.Request(url, data=body, headers=dict(headers), method="POST"))  # noqa: S310  see _ask
    except urllib.error.HTTPError as error:
        raise fail(f"{url} answers {error.code}") from None
    except (OSError, ValueError) as error:
        raise fail(f"{url} cannot be asked: {error}") from None


def _from_environment() -> Credentials | None:
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    return Credentials(key, secret, os.environ.get("AWS_SESSION_TOKEN", "")) if key and secret else None


def _from_web_identity(region: str, sts_endpoint: str) -> Credentials | None:
    path, role = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"), os.environ.get("AWS_ROLE_ARN")
    if not path or not role:
        return None
    fields = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": os.environ.get("AWS_ROLE_SESSION_NAME") or "meshagent-login",
        "WebIdentityToken": _read(path).strip(),
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = post_form(sts_endpoint or sts_url(region), headers, urlencode(fields).encode())
    start = "AssumeRoleWithWebIdentityResult/Credentials/"
    try:
        found = dict(xml_leaves(answer, "AssumeRoleWithWebIdentityResponse"))
        return Credentials(*(found[start + name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")))
    except (InternalError, KeyError):
        raise fail("STS gives no credentials for the web identity") from None


def _profile() -> Mapping[str, str]:
    """The settings of the chosen profile, of both files."""
    name = os.environ.get("AWS_PROFILE") or "default"
    home = Path(os.environ.get("HOME") or "~").expanduser()
    found: dict[str, str] = {}
    for path, section in (
        (os.environ.get("AWS_CONFIG_FILE") or home / ".aws/config", name if name == "default" else f"profile {name}"),
        (os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws/credentials", name),
    ):
        if Path(path).exists():
            parser = configparser.RawConfigParser(strict=False)
            try:
                parser.read_string(_read(str(path)))
            except configparser.Error:
                raise fail(f"{path} cannot be read as a file of AWS profiles") from None
            if parser.has_section(section):
                found |= dict(parser.items(section))
    return found


def _from_profile() -> Credentials | None:
    held = _profile()
    key, secret = held.get("aws_access_key_id"), held.get("aws_secret_access_key")
    return Credentials(key, secret, held.get("aws_session_token", "")) if key and secret else None


def _from_container() -> Credentials | None:
    relative, full = (os.environ.get(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI") for kind in ("RELATIVE", "FULL"))
    if not relative and not full:
        return None
    url = f"{_CONTAINER}{relative}" if relative else str(full)
    if urlsplit(url).scheme not in {"http", "https"}:
        raise fail(f"AWS_CONTAINER_CREDENTIALS_FULL_URI is no web address: {url!r}")
    token_file = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    token = _read(token_file).strip() if token_file else os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    try:
        body = _ask(urllib.request.Request(url, headers={"Authorization": token} if token else {}))  # noqa: S310
    except (OSError, ValueError) as error:
        raise fail(f"{url} gives no credentials: {error}") from None
    return _document(body, url)


def _from_instance() -> Credentials | None:
    path = "/latest/meta-data/iam/security-credentials/"
    role = (_instance(path) or "").strip().splitlines()
    if not role:
        return None
    body = _instance(path + role[0])
    return _document(body.encode(), "the instance's metadata") if body else None


def _instance(path: str) -> str | None:
    """A text of the instance's metadata; None where there is no instance, or it has no such thing."""
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    base = (os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _INSTANCE).rstrip("/")
    life = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    try:
        request = urllib.request.Request(f"{base}/latest/api/token", headers=life, method="PUT")  # noqa: S310
        token = _ask(request).decode()
        request = urllib.request.Request(base + path, headers={"X-aws-ec2-metadata-token": token})  # noqa: S310
        return _ask(request).decode()
    except (OSError, ValueError):
        return None


def _document(body: bytes, where: str) -> Credentials:
    try:
        held: Any = json.loads(body)
        return Credentials(str(held["AccessKeyId"]), str(held["SecretAccessKey"]), str(held.get("Token") or ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise fail(f"{where} gives no credentials that can be read") from None


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: credentials are given by who was asked."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _ask(request: urllib.request.Request) -> bytes:
    """The body of a successful answer. Addresses of the network only, no proxy. Raises OSError, ValueError."""
    if request.type not in {"http", "https"}:
        raise ValueError(f"not a web address: {request.full_url!r}")
    opener = urllib.request.build_opener(_Straight, urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return body


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"Cannot read {path}: {error}") from None
