"""What of a signed request is taken, and what is refused before anything is sent (L42)."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.acl.aws_bearer import ENTITY_BODY, ENTITY_HEADERS, ENTITY_METHOD, ENTITY_URL, parse_bearer
from meshagent.errors import InternalError

URL = "https://sts.amazonaws.com/"
BODY = "Action=GetCallerIdentity&Version=2011-06-15"
ENTITY = {
    ENTITY_METHOD: ["POST"],
    ENTITY_URL: ["https://iam.amazonaws.com/"],
    ENTITY_HEADERS: ['{"Authorization": ["a"]}'],
    ENTITY_BODY: ["Action=GetUser&UserName=bob&Version=2010-05-08"],
}
DETAILS = {"EnableIAMEntityDetails": True}


def token(
    url: str = URL, headers: Any = None, body: str = BODY, method: str = "POST", raw: dict[str, str] | None = None
) -> str:
    parts = {
        "iam_request_url": url,
        "iam_request_headers": json.dumps({} if headers is None else headers),
        "iam_request_body": body,
    }
    fields = {"iam_http_request_method": method} | {k: b64encode(v.encode()).decode() for k, v in parts.items()}
    return json.dumps(fields | (raw or {}))


@pytest.mark.parametrize(
    "host",
    ["sts.amazonaws.com", "sts.eu-west-1.amazonaws.com", "sts-fips.us-gov-west-1.amazonaws.com",
     "sts.cn-north-1.amazonaws.com.cn"],
)  # fmt: skip
def test_goes_to_amazon_over_tls(host: str) -> None:
    caller, entity = parse_bearer(token(f"https://{host}"), {})
    assert (caller.url, caller.host, caller.body, entity) == (f"https://{host}/", host, BODY, None)


@pytest.mark.parametrize(
    "url",
    [
        "http://sts.amazonaws.com/",
        "https://sts.amazonaws.com:8443/",
        "https://sts.evil.s3.amazonaws.com/",
        "https://sts.amazonaws.com.evil.test/",
        "https://evil.test/",
        "https://sts.amazonaws.com@evil.test/",
        "https://sts.amazonaws.com/?Action=AssumeRole",
        "https://sts.amazonaws.com/other",
        "https://sts.amazonaws.com/#x",
        "https://[::1/",
        "https://sts.amazonaws.com:port/",
        "sts.amazonaws.com",
        "",
    ],
)
def test_goes_nowhere_else(url: str) -> None:
    with pytest.raises(InternalError):
        parse_bearer(token(url), {})


def test_an_endpoint_of_the_configuration_is_the_only_place() -> None:
    config = {"STSEndpoint": "https://proxy.test/sts", "IAMEndpoint": "https://proxy.test/iam/"} | DETAILS
    caller, entity = parse_bearer(token("http://anything.test", ENTITY), config)
    assert (caller.url, caller.host) == ("https://proxy.test/sts/", "anything.test")
    assert entity is not None and (entity.url, entity.host) == ("https://proxy.test/iam/", "iam.amazonaws.com")
    assert entity.action == "GetUser" and entity.headers == (("Authorization", "a"),)


def test_what_is_about_the_connection_stays_behind() -> None:
    headers = {"Host": ["evil"], "Accept": ["application/json"], "Content-Length": ["9"], "Authorization": ["a"]}
    caller, _ = parse_bearer(token(headers=headers | {"X-Amz-Date": "now"}), {})
    assert caller.headers == (("Authorization", "a"), ("X-Amz-Date", "now"))


@pytest.mark.parametrize(
    ("given", "config", "why"),
    [
        (token(method="GET"), {}, "must be POST"),
        (token(body="Action=AssumeRole"), {}, "nothing else"),
        (token(body=f"{BODY}&RoleArn=x"), {}, "nothing else"),
        (token(body=f"{BODY}&Action=AssumeRole"), {}, "unexpected value Action"),
        (token(body=""), {}, "nothing else"),
        (token(body="&".join(f"a{i}=1" for i in range(20))), {}, "Max number of fields"),
        (token(headers={"X-Amz-Other": ["1"]}), {}, "invalid request header: X-Amz-Other"),
        (token(headers={"A": ["1\r\nHost: evil"]}), {}, "cannot be sent as a header"),
        (token(headers={"A b": ["1"]}), {}, "cannot be sent as a header"),
        (token(headers={"A": [1]}), {}, "iam_request_headers"),
        (token(headers={f"A{i}": ["1"] for i in range(65)}), {}, "more than 64 headers"),
        (token(raw={"iam_request_url": "%"}), {}, "iam_request_url is not text in base64"),
        ("x" * 70_000, {}, "longer than"),
        ("[]", {}, "invalid token"),
        (token(), DETAILS, f'missing header "{ENTITY_METHOD}"'),
        (token(headers=ENTITY | {ENTITY_METHOD: ["GET"]}), DETAILS, "must be POST"),
        (token(headers=ENTITY | {ENTITY_BODY: ["a", "b"]}), DETAILS, "expected 1 item"),
        (token(headers=ENTITY | {ENTITY_URL: ["https://sts.amazonaws.com/"]}), DETAILS, "invalid IAM hostname"),
        (token(headers=ENTITY | {ENTITY_BODY: ["Action=GetUser&RoleName=x"]}), DETAILS, "GetUser with UserName"),
        (token(headers=ENTITY | {ENTITY_BODY: ["Action=DeleteUser&UserName=x"]}), DETAILS, "GetUser with UserName"),
        (token(headers={"Authorization": "a"}), {"ServerIDHeaderValue": "us"}, "missing header"),
    ],
)
def test_refusals_say_why(given: str, config: dict[str, Any], why: str) -> None:
    with pytest.raises(InternalError, match=why.replace("[", r"\[")):
        parse_bearer(given, config)


def test_an_allowed_header() -> None:
    caller, _ = parse_bearer(token(headers={"x-amz-other": ["1"]}), {"AllowedSTSHeaderValues": ["X-Amz-Other"]})
    assert caller.headers == (("x-amz-other", "1"),)


@given(st.text() | st.builds(token, st.text(), st.dictionaries(st.text(), st.lists(st.text())), st.text()))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    try:
        caller, _ = parse_bearer(text, {})
    except InternalError:
        return
    assert caller.url.startswith("https://sts")
