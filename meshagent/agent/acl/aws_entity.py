"""Who Amazon says has signed a request: answers of STS and IAM, names of principals, and whether one is trusted.

    arn:aws:sts::123456789012:assumed-role/app/i-0123  ->  arn:aws:iam::123456789012:role/app, entity_name "app"

Source: surface row L42; docs.aws.amazon.com IAM "IAM identifiers", STS GetCallerIdentity;
github.com/hashicorp/consul-awsauth (MPL: canonical names, wildcards). XML is read by expat, without document types,
bounded in depth and count. Pure.

What may change here: kinds of principals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from meshagent.errors import InternalError

__all__ = ["Principal", "check_principals", "check_trusted", "entity_of", "identity_of", "parse_arn", "xml_leaves"]

MAX_ELEMENTS = 10_000
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """`arn` is the canonical one: of the role for a session of it, without its path; with it in an entity's details."""

    arn: str
    name: str
    id: str
    account: str
    path: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def identity_of(answer: bytes) -> Principal:
    """Who sent GetCallerIdentity. Raises InternalError: the answer is none."""
    found = xml_leaves(answer, "GetCallerIdentityResponse")
    result = "GetCallerIdentityResult/"
    arn, user, account = (_one(found, result + name) for name in ("Arn", "UserId", "Account"))
    canonical, name = parse_arn(arn)
    return Principal(arn=canonical, name=name, id=user.split(":", 1)[0], account=account)


def entity_of(answer: bytes, action: str, caller: Principal) -> Principal:
    """The caller with its path and tags, from the answer to GetRole or GetUser. Raises InternalError: it is of somebody
    else, or none.
    """
    kind = action.removeprefix("Get")
    found = xml_leaves(answer, f"{action}Response")
    start = f"{action}Result/{kind}/"
    if _one(found, f"{start}{kind}Id") != caller.id:
        raise InternalError("unique id mismatch in login token")
    keys = [text for path, text in found if path == f"{start}Tags/member/Key"]
    values = [text for path, text in found if path == f"{start}Tags/member/Value"]
    if len(keys) != len(values):
        raise InternalError("error parsing IAM response: a tag lacks its value")
    return Principal(
        arn=_one(found, f"{start}Arn"),
        name=caller.name,
        id=caller.id,
        account=caller.account,
        path=_one(found, f"{start}Path"),
        tags=dict(zip(keys, values, strict=True)),
    )


def parse_arn(arn: str) -> tuple[str, str]:
    """(canonical ARN, name) of a user, a role, or a session of a role. Raises InternalError."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[4]:
        raise InternalError(f"unrecognized arn: {arn!r}")
    _, partition, service, _, account, resource = parts
    if service not in {"iam", "sts"}:
        raise InternalError(f"unrecognized service: {service}, not one of iam or sts")
    kind, *rest = resource.split("/")
    if kind == "assumed-role":
        name = rest[0] if len(rest) >= 2 else ""
        kind = "role"
    elif kind in {"user", "role"}:
        name = rest[-1] if rest else ""
    else:
        raise InternalError(f"unrecognized principal type: {kind!r}")
    if not name:
        raise InternalError(f"unrecognized arn: {arn!r} is missing the resource name")
    return f"arn:{partition}:iam::{account}:{kind}/{name}", name


def check_principals(config: Mapping[str, Any]) -> None:
    """`BoundIAMPrincipalARNs` of a method. Raises InternalError in upstream's words."""
    bound = config.get("BoundIAMPrincipalARNs") or ()
    if not bound:
        raise InternalError("BoundIAMPrincipalARNs is required and must have at least 1 entry")
    details = bool(config.get("EnableIAMEntityDetails"))
    for arn in bound:
        if "*" in arn:
            if not details:
                raise InternalError("Must set EnableIAMEntityDetails=true to use wildcards in BoundIAMPrincipalARNs")
            if arn.count("*") != 1 or not arn.endswith("*"):
                raise InternalError("Only one wildcard is allowed at the end of the bound IAM principal ARN")
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or parts[2] not in {"iam", "sts"}:
            raise InternalError(f'Invalid principal ARN: "{arn}"')
    if config.get("IAMEntityTags") and not details:
        raise InternalError("Must set EnableIAMEntityDetails=true to use IAMUserTags")


def check_trusted(principal: Principal, config: Mapping[str, Any]) -> None:
    """Raises InternalError: nothing in `BoundIAMPrincipalARNs` names it."""
    bound: Sequence[str] = config.get("BoundIAMPrincipalARNs") or ()
    if principal.arn in bound:
        return
    wild = [one[:-1] for one in bound if one.endswith("*")] if config.get("EnableIAMEntityDetails") else []
    if not any(principal.arn.startswith(start) for start in wild):
        raise InternalError(f"IAM principal {principal.arn} is not trusted")


def _one(found: Sequence[tuple[str, str]], path: str) -> str:
    texts = [text for at, text in found if at == path]
    if len(texts) != 1:
        raise InternalError(f"received {len(texts)} of {path} in the answer but expected 1")
    return texts[0]


def xml_leaves(document: bytes, root: str) -> list[tuple[str, str]]:
    """(path below the root, text) of every element of `document`, in order of their ends. Raises InternalError: it is
    no XML of that root, or larger than any honest answer.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    at: list[str] = []
    texts: list[list[str]] = []
    found: list[tuple[str, str]] = []
    count = 0

    def begin(name: str, _attributes: Any) -> None:
        nonlocal count
        count += 1
        at.append(name.rpartition(" ")[2])
        texts.append([])
        if count > MAX_ELEMENTS or len(at) > MAX_DEPTH or at[0] != root:
            raise _Unreadable

    def end(_name: str) -> None:
        found.append(("/".join(at[1:]), "".join(texts.pop()).strip()))
        at.pop()

    def data(text: str) -> None:
        texts[-1].append(text)

    def doctype(*_: Any) -> None:
        raise _Unreadable

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = data, doctype
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, _Unreadable, ValueError):
        raise InternalError(f"error parsing the answer: it is no {root}") from None
    return found


class _Unreadable(Exception):
    """Not what was asked for, or larger than any honest answer."""
