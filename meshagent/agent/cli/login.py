"""I/O edge: `meshagent login` and `logout`: a token for a credential, kept in a file.

`-aws-auto-bearer-token` signs the credential of an `aws-iam` method here (`login_aws.py`). `-type=oidc` (beyond
Consul's free edition) sends the person to the issuer with a browser and waits for the redirect on a loopback port; PKCE
and a secret of this process bind what comes back to it (RFC 8252, RFC 7636).

Source: surface row CL16; developer.hashicorp.com/consul/commands/login. What may change here: nothing that a script
parses.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, pairs, switch, text
from meshagent.agent.cli.output import fail
from meshagent.clock import SystemClock

__all__ = ["login", "logout"]


@api_command("login", short_help="Exchange a credential for a token")
@text("method", "The auth method")
@text("type", "oidc or aws, for a method of that type", default="")
@text("bearer-token-file", "File with the credential: a JSON Web Token")
@text("token-sink-file", "File to put the token's secret into")
@text("meta", "key=value, kept in the description of the token; may be repeated", multiple=True)
@text("oidc-callback-listen-addr", "Where the redirect of the issuer is awaited", default="127.0.0.1:8550")
@switch("no-browser", "Only print the address of the issuer")
@switch("aws-auto-bearer-token", "Make the credential for an aws-iam method from the AWS credentials found here")
@switch("aws-include-entity", "Let the method read the role or user that logs in, with its path and tags")
@text("aws-region", "Region of STS; found as AWS' own tools find it", default="")
@text("aws-server-id-header-value", "ServerIDHeaderValue of the method", default="")
@text("aws-sts-endpoint", "Address of STS", default="")
def login(
    client: Client,
    args: tuple[str, ...],
    method: str,
    type: str,
    bearer_token_file: str,
    token_sink_file: str,
    meta: tuple[str, ...],
    oidc_callback_listen_addr: str,
    no_browser: bool,
    aws_auto_bearer_token: bool,
    aws_include_entity: bool,
    aws_region: str,
    aws_server_id_header_value: str,
    aws_sts_endpoint: str,
) -> None:
    """Exchange a credential for a token, whose secret goes into a file that only you can read."""
    expect(args, 0, 0)
    if not method:
        raise fail("Missing required '-method' flag")
    if not token_sink_file:
        raise fail("Missing required '-token-sink-file' flag")
    described = dict(pairs(meta, "meta"))
    if type == "oidc":
        from meshagent.agent.cli.login_oidc import oidc_login

        row = oidc_login(client, method, oidc_callback_listen_addr, browser=not no_browser)
    elif type not in {"", "aws", "aws-iam"}:
        raise fail(f"Unknown -type {type!r}: oidc, aws, or nothing for a method that takes a bearer token")
    elif aws_auto_bearer_token or type:
        if bearer_token_file:
            raise fail("Cannot use '-bearer-token-file' flag with '-aws-auto-bearer-token'")
        from meshagent.agent.cli.login_aws import aws_bearer

        bearer = aws_bearer(
            SystemClock().now(),
            region=aws_region,
            sts_endpoint=aws_sts_endpoint,
            server_id=aws_server_id_header_value,
            entity=aws_include_entity,
        )
        row = _exchange(client, method, bearer, described)
    else:
        if aws_include_entity or aws_region or aws_server_id_header_value or aws_sts_endpoint:
            raise fail("Missing '-aws-auto-bearer-token' flag: the other -aws flags need it")
        row = _exchange(client, method, _bearer(bearer_token_file), described)
    _keep(token_sink_file, row["SecretID"])


def _bearer(path: str) -> str:
    if not path:
        raise fail("Missing required '-bearer-token-file' flag")
    try:
        with open(path, encoding="utf-8") as file:
            bearer = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"Cannot read -bearer-token-file {path}: {error}") from None
    if not bearer:
        raise fail(f"No bearer token found in {path}")
    return bearer


def _exchange(client: Client, method: str, bearer: str, meta: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {"AuthMethod": method, "BearerToken": bearer}
    if meta:
        body["Meta"] = meta
    try:
        row: dict[str, Any] = client.request("POST", "acl/login", body=json.dumps(body).encode()).json()
    except ApiError as error:
        raise fail(f"Error logging in: {error}") from None
    return row


def _keep(path: str, secret: str) -> None:
    """Write the secret so that nobody else can read it, whatever was there before."""
    fresh = f"{path}.{os.getpid()}.new"
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secret)
        os.replace(fresh, path)
    except OSError as error:
        raise fail(f"Error writing token to file sink {path}: {error.strerror}") from None


@api_command("logout", short_help="Destroy a token that a login made")
def logout(client: Client, args: tuple[str, ...]) -> None:
    """Destroy the token of the command (-token, -token-file, CONSUL_HTTP_TOKEN), which a login made."""
    expect(args, 0, 0)
    try:
        client.request("POST", "acl/logout")
    except ApiError as error:
        raise fail(f"Error destroying token: {error}") from None
    sys.stdout.flush()
