"""Signature Version 4 against Amazon's published test suite, and against botocore for anything."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.cli.sigv4 import Credentials, signed_headers

SUITE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SUITE_TIME = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)


@pytest.mark.parametrize(
    ("method", "headers", "body", "names", "signature"),
    [
        # aws-sig-v4-test-suite: get-vanilla, post-vanilla, post-header-key-sort, post-x-www-form-urlencoded
        ("GET", {}, b"", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", {}, b"", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", {"My-Header1": "value1"}, b"", "host;my-header1;x-amz-date",
         "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
        ("POST", {"Content-Type": "application/x-www-form-urlencoded"}, b"Param1=value1",
         "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ],
)  # fmt: skip
def test_the_published_suite(method: str, headers: dict[str, str], body: bytes, names: str, signature: str) -> None:
    made = signed_headers(
        "https://example.amazonaws.com/", headers, body, SUITE,
        region="us-east-1", service="service", now=SUITE_TIME, method=method,
    )  # fmt: skip
    assert made["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


NAMES = st.from_regex(r"\AX-[A-Z][a-z]{0,9}\Z")
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(
    st.dictionaries(
        st.from_regex(r"\AX-[A-Z][a-z]{0,9}\Z"), st.text(st.characters(min_codepoint=32, max_codepoint=126))
    ),
    st.binary(),
    st.sampled_from(["", "session"]),
)
def test_as_botocore_signs(headers: dict[str, str], body: bytes, session: str) -> None:
    url = "https://sts.eu-west-1.amazonaws.com/"
    made = signed_headers(
        url, headers, body, Credentials("K", "S", session), region="eu-west-1", service="sts", now=SUITE_TIME
    )
    request = AWSRequest(method="POST", url=url, data=body)
    for name, value in made.items():
        if name != "Authorization":
            request.headers[name] = value
    request.context["timestamp"] = "20150830T123600Z"
    auth = SigV4Auth(BotoCredentials("K", "S"), "sts", "eu-west-1")
    again = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert made["Authorization"].endswith(f"Signature={again}")


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Credentials("K", "hush", "hush"))
