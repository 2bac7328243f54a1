"""Logging in by `aws-iam` (L42): tokens of botocore and of our own command, believed by a stand-in that checks them."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from meshtest.amazon import ACCOUNT, Amazon, botocore_headers
from meshtest.inprocess import InProcess, guarded_config

from meshagent.agent.acl.aws_bearer import ENTITY_BODY, ENTITY_HEADERS, ENTITY_METHOD, ENTITY_URL, SERVER_ID
from meshagent.agent.cli import aws_credentials
from meshagent.agent.cli.login_aws import aws_bearer

KEY = ("AKIDAPP", "secret-of-app", "session-of-app")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
WHO = b"Action=GetCallerIdentity&Version=2011-06-15"


@pytest.fixture
async def amazon() -> AsyncIterator[Amazon]:
    running = Amazon()
    running.keys["AKIDAPP"] = ("secret-of-app", KEY[2], f"arn:aws:sts::{ACCOUNT}:assumed-role/app/i-1", "AROAAPP:i-1")
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def world() -> AsyncIterator[InProcess]:
    running = InProcess(config=guarded_config())
    await running.start()
    yield running
    await running.stop()


def bearer(key: tuple[str, str, str] = KEY, *, entity: str = "", **headers: str) -> str:
    """As botocore signs it; `entity` is the body of the second request."""
    sent = FORM | headers
    if entity:
        url = "https://iam.amazonaws.com/"
        own = botocore_headers(url, dict(headers) | FORM, entity.encode(), key, region="us-east-1", service="iam")
        carried = json.dumps({name: [value] for name, value in own.items()})
        sent |= {ENTITY_METHOD: "POST", ENTITY_URL: url, ENTITY_HEADERS: carried, ENTITY_BODY: entity}
    url = "https://sts.eu-west-1.amazonaws.com/"
    signed = botocore_headers(url, sent, WHO, key, region="eu-west-1", service="sts")
    return token(url, {name: [value] for name, value in signed.items()}, WHO.decode())


def token(url: str, headers: Any, body: str, method: str = "POST") -> str:
    parts = {"iam_request_url": url, "iam_request_headers": json.dumps(headers), "iam_request_body": body}
    return json.dumps(
        {"iam_http_request_method": method} | {k: b64encode(v.encode()).decode() for k, v in parts.items()}
    )


async def method(world: InProcess, amazon: Amazon, *rules: dict[str, Any], **config: Any) -> None:
    full = {"BoundIAMPrincipalARNs": [ROLE], "STSEndpoint": amazon.url, "IAMEndpoint": amazon.url} | config
    made = await world.put("/v1/acl/auth-method", {"Name": "aws", "Type": "aws-iam", "Config": full})
    assert made.status == 200, made.text
    for rule in rules or ({"BindType": "service", "BindName": "${entity_name}"},):
        made = await world.put("/v1/acl/binding-rule", {"AuthMethod": "aws"} | rule)
        assert made.status == 200, made.text


async def login(world: InProcess, bearer: str) -> Any:
    body = {"AuthMethod": "aws", "BearerToken": bearer}
    return await world.ask("POST", "/v1/acl/login", body, headers={"X-Consul-Token": ""})


async def test_a_session_of_a_role_logs_in(world: InProcess, amazon: Amazon) -> None:
    await method(
        world,
        amazon,
        {"BindType": "service", "BindName": "${entity_name}-${account_id}", "Selector": 'entity_id == "AROAAPP"'},
        {"BindType": "node", "BindName": "never", "Selector": "entity_name != app"},
    )
    row = (await login(world, bearer())).json
    assert row["ServiceIdentities"] == [{"ServiceName": f"app-{ACCOUNT}"}] and "NodeIdentities" not in row
    assert [one["host"] for one in amazon.asked] == ["sts.eu-west-1.amazonaws.com"]


async def test_the_entity_brings_its_path_and_tags(world: InProcess, amazon: Amazon) -> None:
    amazon.path = "/teams/red/"
    await method(
        world,
        amazon,
        {"BindType": "service", "BindName": "${entity_tags.team}", "Selector": 'entity_path == "/teams/red/"'},
        {"BindType": "node", "BindName": "n", "Selector": "entity_tags.team == red"},
        {"BindType": "role", "BindName": "no", "Selector": '"stage" in entity_tags'},
        BoundIAMPrincipalARNs=[f"arn:aws:iam::{ACCOUNT}:role/teams/*"],
        EnableIAMEntityDetails=True,
        IAMEntityTags=["team"],
    )
    row = (await login(world, bearer(entity="Action=GetRole&RoleName=app&Version=2010-05-08"))).json
    assert row["ServiceIdentities"] == [{"ServiceName": "red"}]
    assert row["NodeIdentities"][0]["NodeName"] == "n" and "Roles" not in row
    other = await login(world, bearer(entity="Action=GetRole&RoleName=admin&Version=2010-05-08"))
    assert other.status == 500 and "unique id mismatch in login token" in other.text
    amazon.path = "/teams-of-others/"
    stranger = await login(world, bearer(entity="Action=GetRole&RoleName=app&Version=2010-05-08"))
    assert stranger.status == 500 and "role/teams-of-others/app is not trusted" in stranger.text


async def test_who_is_not_believed(world: InProcess, amazon: Amazon) -> None:
    await method(world, amazon, ServerIDHeaderValue="us")
    forged = bearer(("AKIDAPP", "guessed", KEY[2]), **{SERVER_ID: "us"})
    refused = await login(world, forged)
    assert refused.status == 500 and "received error code 403" in refused.text and KEY[2] not in refused.text
    assert (await login(world, bearer(**{SERVER_ID: "us"}))).status == 200
    asked = len(amazon.asked)
    for bad, why in (
        (bearer(), "missing header"),
        (bearer(**{SERVER_ID: "them"}), 'expected "us" but got "them"'),
        ("", "there is none"),
        ("{}", "must be POST"),
    ):
        refused = await login(world, bad)
        assert refused.status == 500 and why in refused.text
    later = json.loads(bearer())
    headers = json.loads(b64decode(later["iam_request_headers"])) | {SERVER_ID: ["us"]}
    refused = await login(world, token("https://sts.amazonaws.com/", headers, WHO.decode()))
    assert refused.status == 500 and "header wasn't signed" in refused.text
    assert len(amazon.asked) == asked  # none of these has been sent on


async def test_a_principal_that_nobody_trusts(world: InProcess, amazon: Amazon) -> None:
    await method(world, amazon, BoundIAMPrincipalARNs=[f"arn:aws:iam::{ACCOUNT}:user/app", f"{ROLE}2"])
    refused = await login(world, bearer())
    assert refused.status == 500 and f"IAM principal {ROLE} is not trusted" in refused.text


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (web.Response(text="{}", content_type="application/json"), "in XML"),
        (web.Response(text="<html/>", content_type="text/xml"), "no GetCallerIdentityResponse"),
        (web.Response(body=b"<a>" * 600_000, content_type="text/xml"), "more than 1048576 bytes"),
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "in XML"),
    ],
)
async def test_nonsense_from_sts(world: InProcess, amazon: Amazon, answer: web.Response, why: str) -> None:
    await method(world, amazon)
    amazon.answer = answer
    refused = await login(world, bearer())
    assert refused.status == 500 and why in refused.text


async def test_tries_again_as_often_as_configured(world: InProcess, amazon: Amazon) -> None:
    await method(world, amazon, MaxRetries=2)
    amazon.broken = [500, 503]
    waiting = asyncio.ensure_future(login(world, bearer()))
    while not waiting.done():
        await world.clock.advance(0.25)
        await asyncio.sleep(0)
    assert (await waiting).status == 200 and len(amazon.asked) == 3
    amazon.broken, amazon.asked = [403], []
    assert (await login(world, bearer())).status == 500 and len(amazon.asked) == 1
    await amazon.stop()
    waiting = asyncio.ensure_future(login(world, bearer()))
    while not waiting.done():
        await world.clock.advance(0.25)
        await asyncio.sleep(0)
    refused = await waiting
    assert refused.status == 500 and "cannot be asked" in refused.text


@pytest.mark.parametrize("entity", [False, True])
async def test_the_token_of_our_own_command(
    world: InProcess, amazon: Amazon, monkeypatch: pytest.MonkeyPatch, entity: bool
) -> None:
    for name, value in zip(("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"), KEY, strict=True):
        monkeypatch.setenv(f"AWS_{name}", value)
    real = aws_credentials.sts_url
    assert real("eu-west-1") == "https://sts.eu-west-1.amazonaws.com/"
    assert real("cn-north-1") == "https://sts.cn-north-1.amazonaws.com.cn/"
    await method(world, amazon, EnableIAMEntityDetails=entity, ServerIDHeaderValue="us")
    made = await asyncio.to_thread(
        aws_bearer,
        datetime.now(UTC),
        region="eu-west-1",
        sts_endpoint=amazon.url,
        server_id="us",
        entity=entity,
    )
    row = (await login(world, made)).json
    assert row["ServiceIdentities"] == [{"ServiceName": "app"}]
    assert [one["Action"] for one in amazon.asked] == (
        ["GetCallerIdentity", "GetCallerIdentity", "GetRole"] if entity else ["GetCallerIdentity"]
    )
