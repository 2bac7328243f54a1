"""I/O edge: the bearer token of an `aws-iam` login, signed with the credentials of this process.

Source: surface rows CL16, L42; developer.hashicorp.com/consul/commands/login#aws-iam-options;
github.com/hashicorp/consul-awsauth (MPL: the shape of the token). What may change here: nothing that a server of Consul
reads.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import datetime
from urllib.parse import urlencode

from meshagent.agent.acl.aws_bearer import ENTITY_BODY, ENTITY_HEADERS, ENTITY_METHOD, ENTITY_URL, SERVER_ID
from meshagent.agent.acl.aws_entity import identity_of
from meshagent.agent.cli.aws_credentials import find_credentials, find_region, post_form, sts_url
from meshagent.agent.cli.output import fail
from meshagent.agent.cli.sigv4 import Credentials, signed_headers
from meshagent.errors import InternalError

__all__ = ["aws_bearer"]

_FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
_WHO = urlencode({"Action": "GetCallerIdentity", "Version": "2011-06-15"}).encode()


def aws_bearer(now: datetime, *, region: str, sts_endpoint: str, server_id: str, entity: bool) -> str:
    """The token. `entity`: with a request for the role or user, whose name is asked for first. Ends the command where
    something is missing.
    """
    region = find_region(region)
    credentials = find_credentials(region, sts_endpoint)
    url = sts_endpoint.rstrip("/") + "/" if sts_endpoint else sts_url(region)
    headers = dict(_FORM)
    if server_id:
        headers[SERVER_ID] = server_id
    if entity:
        asked = signed_headers(url, _FORM, _WHO, credentials, region=region, service="sts", now=now)
        headers |= _entity(post_form(url, asked, _WHO), region, credentials, server_id, now)
    signed = signed_headers(url, headers, _WHO, credentials, region=region, service="sts", now=now)
    return json.dumps(
        {
            "iam_http_request_method": "POST",
            "iam_request_url": _text(url),
            "iam_request_headers": _text(_go_headers(signed)),
            "iam_request_body": _text(_WHO.decode()),
        }
    )


def _entity(answer: bytes, region: str, credentials: Credentials, server_id: str, now: datetime) -> dict[str, str]:
    """The headers that carry a signed GetRole or GetUser for whoever `answer` says we are."""
    try:
        principal = identity_of(answer)
    except InternalError as error:
        raise fail(f"STS does not say who signs: {error}") from None
    kind = "User" if ":user/" in principal.arn else "Role"
    fields = {"Action": f"Get{kind}", f"{kind}Name": principal.name, "Version": "2010-05-08"}
    body = urlencode(fields)
    url, home = _iam(region)
    own = {**_FORM, SERVER_ID: server_id} if server_id else _FORM
    signed = signed_headers(url, own, body.encode(), credentials, region=home, service="iam", now=now)
    return {ENTITY_METHOD: "POST", ENTITY_URL: url, ENTITY_HEADERS: _go_headers(signed), ENTITY_BODY: body}


def _iam(region: str) -> tuple[str, str]:
    """(address, region) of IAM, of which each partition has one."""
    if region.startswith("cn-"):
        return "https://iam.cn-north-1.amazonaws.com.cn/", "cn-north-1"
    if region.startswith("us-gov-"):
        return "https://iam.us-gov.amazonaws.com/", "us-gov-west-1"
    return "https://iam.amazonaws.com/", "us-east-1"


def _go_headers(headers: dict[str, str]) -> str:
    return json.dumps({name: [value] for name, value in headers.items()})


def _text(text: str) -> str:
    return b64encode(text.encode()).decode()
