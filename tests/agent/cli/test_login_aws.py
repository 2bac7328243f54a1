"""The bearer token that `login -aws-auto-bearer-token` makes (L42); `tests/agent/acl/test_aws.py` has it believed."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from click import ClickException

from meshagent.agent.acl.aws_bearer import ENTITY_BODY, ENTITY_HEADERS, ENTITY_URL, parse_bearer
from meshagent.agent.cli import login_aws

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def made(monkeypatch: pytest.MonkeyPatch, arn: str, region: str, **more: Any) -> tuple[str, dict[str, list[str]]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "K")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S")
    answer = (
        f"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>U</UserId><Account>1</Account>"
    )
    answer += "</GetCallerIdentityResult></GetCallerIdentityResponse>"
    monkeypatch.setattr(login_aws, "post_form", lambda url, headers, body: answer.encode())
    options = {"region": region, "sts_endpoint": "", "server_id": "us", "entity": True} | more
    bearer = login_aws.aws_bearer(NOW, **options)
    return bearer, json.loads(b64decode(json.loads(bearer)["iam_request_headers"]))


@pytest.mark.parametrize(
    ("arn", "region", "url", "scope", "body"),
    [
        ("arn:aws:iam::1:user/a/bob", "eu-west-1", "https://iam.amazonaws.com/", "us-east-1",
         "Action=GetUser&UserName=bob&Version=2010-05-08"),
        ("arn:aws-cn:sts::1:assumed-role/app/i", "cn-north-1", "https://iam.cn-north-1.amazonaws.com.cn/", "cn-north-1",
         "Action=GetRole&RoleName=app&Version=2010-05-08"),
        ("arn:aws-us-gov:iam::1:role/app", "us-gov-east-1", "https://iam.us-gov.amazonaws.com/", "us-gov-west-1",
         "Action=GetRole&RoleName=app&Version=2010-05-08"),
    ],
)  # fmt: skip
def test_the_entity_is_asked_for_in_its_partition(
    monkeypatch: pytest.MonkeyPatch, arn: str, region: str, url: str, scope: str, body: str
) -> None:
    bearer, headers = made(monkeypatch, arn, region)
    assert (headers[ENTITY_URL], headers[ENTITY_BODY]) == ([url], [body])
    own = json.loads(headers[ENTITY_HEADERS][0])
    assert f"/20240101/{scope}/iam/aws4_request" in own["Authorization"][0]
    caller, entity = parse_bearer(bearer, {"EnableIAMEntityDetails": True, "ServerIDHeaderValue": "us"})
    assert caller.url.startswith(f"https://sts.{region}.amazonaws.com") and entity is not None and entity.url == url


def test_without_the_entity_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    _, headers = made(monkeypatch, "", "eu-west-1", entity=False)
    assert ENTITY_URL not in headers


def test_an_answer_that_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClickException, match="does not say who signs"):
        made(monkeypatch, "nonsense", "eu-west-1")
