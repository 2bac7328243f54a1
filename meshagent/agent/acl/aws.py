"""I/O edge: asking STS and IAM who has signed a request, for a login by `aws-iam`.

Source: surface row L42; github.com/hashicorp/consul-awsauth (MPL: what is asked again, the least and longest wait). One
login takes `TOTAL_S` at most, with all its tries. No redirect is followed.

What may change here: times.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshagent.agent.acl.aws_bearer import SignedRequest, parse_bearer
from meshagent.agent.acl.aws_entity import Principal, check_trusted, entity_of, identity_of
from meshagent.agent.acl.issuers import Answer, send
from meshagent.agent.acl.methods import Claims
from meshagent.clock import Clock
from meshagent.errors import InternalError

__all__ = ["aws_claims"]

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
TOTAL_S = 60.0


async def aws_claims(bearer: str, config: Mapping[str, Any], clock: Clock) -> Claims:
    """What is known of the principal that signed `bearer`. Raises InternalError: it is not believed or not trusted."""
    if not bearer:
        raise InternalError("invalid token: there is none")
    caller, entity = parse_bearer(bearer, config)
    until = clock.monotonic() + TOTAL_S
    principal = identity_of(await _asked(caller, config, clock, until))
    if entity is not None:
        principal = entity_of(await _asked(entity, config, clock, until), entity.action, principal)
    check_trusted(principal, config)
    return Claims(entity=_seen(principal, config))


def _seen(principal: Principal, config: Mapping[str, Any]) -> dict[str, Any]:
    """What selectors and names of binding rules see."""
    seen: dict[str, Any] = {
        "entity_name": principal.name,
        "entity_id": principal.id,
        "account_id": principal.account,
    }
    if config.get("EnableIAMEntityDetails"):
        seen["entity_path"] = principal.path
        seen["entity_tags"] = {tag: principal.tags.get(tag, "") for tag in config.get("IAMEntityTags") or ()}
    return seen


async def _asked(request: SignedRequest, config: Mapping[str, Any], clock: Clock, until: float) -> bytes:
    """The answer, after as many more tries as the configuration says. Raises InternalError."""
    wait = FIRST_WAIT_S
    for left in range(max(int(config.get("MaxRetries") or 0), 0), -1, -1):
        last = left == 0 or clock.monotonic() + wait >= until
        try:
            answer = await send(
                "POST", request.url, headers=(*request.headers, ("Host", request.host)), body=request.body
            )
        except InternalError:
            if last:
                raise
        else:
            if last or not (answer.status == 429 or answer.status >= 500):
                return _checked(answer, request)
        await clock.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_S)
    raise AssertionError("the last try answers or raises")


def _checked(answer: Answer, request: SignedRequest) -> bytes:
    if answer.content_type.partition(";")[0].strip().lower() not in {"text/xml", "application/xml"}:
        raise InternalError(f"{request.url} does not answer {request.action} in XML")
    if answer.status != 200:
        raise InternalError(f"received error code {answer.status}: {answer.body[:2000].decode(errors='replace')}")
    return answer.body
