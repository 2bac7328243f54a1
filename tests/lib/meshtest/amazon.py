"""A small STS and IAM on loopback that believe only what is really signed: botocore computes each signature again."""

from __future__ import annotations

import hmac
import re
import socket
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

__all__ = ["Amazon"]

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=(\S+)\Z"
)
STS = "https://sts.amazonaws.com/doc/2011-06-15/"
IAM = "https://iam.amazonaws.com/doc/2010-05-08/"
ACCOUNT = "123456789012"


class Amazon:
    """`keys`: key id -> (secret, session token, ARN that GetCallerIdentity says, unique id). `broken`: statuses to give
    first; `tags` and `path` are of every role and user.
    """

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, str, str, str]] = {}
        self.asked: list[dict[str, str]] = []
        self.broken: list[int] = []
        self.tags = {"team": "red", "stage": "prod"}
        self.path = "/"
        self.answer: web.Response | None = None
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/", self.handle)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        await web.SockSite(self.runner, listener).start()

    async def stop(self) -> None:
        await self.runner.cleanup()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fields = dict(parse_qsl(body.decode()))
        self.asked.append(fields | {"host": request.headers["Host"]})
        if self.broken:
            return web.Response(status=self.broken.pop(0), text="<Error/>", content_type="text/xml")
        if self.answer is not None:
            return self.answer
        key = self._signer(request, body)
        if key is None:
            text = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>"
            return web.Response(status=403, text=text, content_type="text/xml")
        return web.Response(text=self._say(fields, key), content_type="text/xml")

    def _signer(self, request: web.Request, body: bytes) -> str | None:
        """Whose key has signed this request as it arrived."""
        match = _AUTHORIZATION.match(request.headers.get("Authorization", ""))
        if match is None or match[1] not in self.keys:
            return None
        key, day, region, service, signed, signature = match.groups()
        secret, session, _, _ = self.keys[key]
        stamp = request.headers["X-Amz-Date"]
        if not stamp.startswith(day) or not {"host", "x-amz-date"} <= set(signed.split(";")):
            return None
        if session and request.headers.get("X-Amz-Security-Token") != session:
            return None
        again = AWSRequest(method=request.method, url=f"https://{request.headers['Host']}{request.raw_path}", data=body)
        for name in signed.split(";"):
            again.headers[name] = request.headers[name]
        again.context["timestamp"] = stamp
        auth = SigV4Auth(Credentials(key, secret), service, region)
        expected = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
        return key if hmac.compare_digest(expected, signature) else None

    def _say(self, fields: dict[str, str], key: str) -> str:
        _, _, arn, unique = self.keys[key]
        if fields["Action"] == "GetCallerIdentity":
            return (
                f'<GetCallerIdentityResponse xmlns="{STS}"><GetCallerIdentityResult><Arn>{arn}</Arn>'
                f"<UserId>{unique}</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>"
                "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
            )
        kind = fields["Action"].removeprefix("Get")
        name = fields[f"{kind}Name"]
        owner = unique.split(":")[0] if name in arn.split("/") else "AROAOTHER"
        tags = "".join(f"<member><Key>{k}</Key><Value>{v}</Value></member>" for k, v in self.tags.items())
        return (
            f'<?xml version="1.0"?><Get{kind}Response xmlns="{IAM}"><Get{kind}Result><{kind}>'
            f"<Path>{self.path}</Path><Arn>arn:aws:iam::{ACCOUNT}:{kind.lower()}{self.path}{name}</Arn>"
            f"<{kind}Name>{name}</{kind}Name><{kind}Id>{owner}</{kind}Id><Tags>{tags}</Tags>"
            f"</{kind}></Get{kind}Result></Get{kind}Response>"
        )


def botocore_headers(
    url: str, headers: dict[str, str], body: bytes, key: tuple[str, str, str], *, region: str, service: str
) -> dict[str, Any]:
    """What botocore signs at this moment, as headers."""
    request = AWSRequest(method="POST", url=url, headers=headers, data=body)
    SigV4Auth(Credentials(*key), service, region).add_auth(request)
    return dict(request.headers.items())
