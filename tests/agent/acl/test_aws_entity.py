"""Answers of STS and IAM, and names of principals (L42)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.acl.aws_entity import Principal, check_trusted, identity_of, parse_arn, xml_leaves
from meshagent.errors import InternalError


@pytest.mark.parametrize(
    ("arn", "canonical", "name"),
    [
        ("arn:aws:iam::1:user/bob", "arn:aws:iam::1:user/bob", "bob"),
        ("arn:aws:iam::1:user/some/path/bob", "arn:aws:iam::1:user/bob", "bob"),
        ("arn:aws:iam::1:role/app", "arn:aws:iam::1:role/app", "app"),
        ("arn:aws-cn:sts::1:assumed-role/app/i-1", "arn:aws-cn:iam::1:role/app", "app"),
    ],
)
def test_names(arn: str, canonical: str, name: str) -> None:
    assert parse_arn(arn) == (canonical, name)


@pytest.mark.parametrize(
    "arn",
    ["", "arn:aws:iam::1", "x:aws:iam::1:user/b", "arn::iam::1:user/b", "arn:aws:iam:::user/b",
     "arn:aws:s3::1:user/b", "arn:aws:iam::1:user", "arn:aws:iam::1:user/", "arn:aws:iam::1:instance-profile/b",
     "arn:aws:sts::1:assumed-role/b"],
)  # fmt: skip
def test_what_is_no_principal(arn: str) -> None:
    with pytest.raises(InternalError):
        parse_arn(arn)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<GetCallerIdentityResponse>",
        b"<Other/>",
        b"<GetCallerIdentityResponse/>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><GetCallerIdentityResponse>&a;</GetCallerIdentityResponse>',
        b"<GetCallerIdentityResponse>" + b"<a>" * 20 + b"</a>" * 20 + b"</GetCallerIdentityResponse>",
        b"<GetCallerIdentityResponse>" + b"<a/>" * 10_001 + b"</GetCallerIdentityResponse>",
        b"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/a</Arn><Arn>b</Arn>"
        b"<UserId>u</UserId><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
    ],
)
def test_answers_that_are_none(document: bytes) -> None:
    with pytest.raises(InternalError):
        identity_of(document)


def test_a_wildcard_is_only_for_details() -> None:
    app = Principal(arn="arn:aws:iam::1:role/app", name="app", id="i", account="1")
    for config in (
        {"BoundIAMPrincipalARNs": ["arn:aws:iam::1:role/app"]},
        {"BoundIAMPrincipalARNs": ["arn:aws:iam::1:role/*"], "EnableIAMEntityDetails": True},
    ):
        check_trusted(app, config)
    for config in (
        {"BoundIAMPrincipalARNs": ["arn:aws:iam::1:role/*"]},
        {"BoundIAMPrincipalARNs": ["arn:aws:iam::1:r"]},
    ):
        with pytest.raises(InternalError, match="is not trusted"):
            check_trusted(app, config)


@given(st.binary() | st.text().map(lambda text: f"<a>{text}</a>".encode()))
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    try:
        found = xml_leaves(document, "a")
    except InternalError:
        return
    assert found[-1][0] == ""
