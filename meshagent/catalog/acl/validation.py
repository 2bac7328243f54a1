"""What a row of access control must be like, in upstream's words: names, identities, lifetimes.

Source: surface rows AC6, AC11-AC14; the golden scenario acl-objects. Pure; what needs other rows is asked by the caller
or in `tables.py`. What may change here: checks that upstream adds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from meshagent.catalog.acl.builtin import BUILTIN_PREFIX
from meshagent.catalog.acl.identities import TEMPLATES, named_identity
from meshagent.catalog.acl.model import NodeIdentity, ServiceIdentity, TemplatedPolicy
from meshagent.durations import format_duration
from meshagent.errors import BadRequest, InternalError
from meshagent.ids import is_uuid

__all__ = [
    "MIN_TTL_NS",
    "check_identities",
    "check_method_name",
    "check_new_id",
    "check_policy_name",
    "check_role_name",
    "expiration",
]

_POLICY_NAME = re.compile(r"[A-Za-z0-9\-_]+/?[A-Za-z0-9\-_]*\Z")
_ROLE_NAME = re.compile(r"[A-Za-z0-9\-_]{1,256}\Z")
_METHOD_NAME = re.compile(r"[A-Za-z0-9\-_]{1,128}\Z")
MAX_POLICY_NAME = 128
#: Ids that begin so belong to what is built in.
_RESERVED = "00000000-0000-0000-0000-0000000000"
MIN_TTL_NS = 60_000_000_000


def check_policy_name(name: str) -> None:
    """Raises InternalError."""
    if not name:
        raise InternalError("Invalid Policy: no Name is set")
    if len(name) >= MAX_POLICY_NAME:
        raise InternalError("Invalid Policy: invalid Name. Length must be greater than 0 and less than 128")
    if name.startswith(("/", BUILTIN_PREFIX)):
        raise InternalError("Invalid Policy: invalid Name. Names cannot be prefixed with '/' or 'builtin/'")
    if not _POLICY_NAME.match(name):
        raise InternalError(
            "Invalid Policy: invalid Name. Only alphanumeric characters, a single '/', '-' and '_' are allowed"
        )


def check_role_name(name: str) -> None:
    """Raises InternalError."""
    if not name:
        raise InternalError("Invalid Role: no Name is set")
    if not _ROLE_NAME.match(name):
        raise InternalError("Invalid Role: invalid Name. Only alphanumeric characters, '-' and '_' are allowed")


def check_method_name(name: str) -> None:
    """Raises InternalError."""
    if not name:
        raise InternalError("Invalid Auth Method: no Name is set")
    if not _METHOD_NAME.match(name):
        raise InternalError("Invalid Auth Method: invalid Name. Only alphanumeric characters, '-' and '_' are allowed")


def check_new_id(given: str, what: str) -> None:
    """An id that a caller chose. Raises InternalError."""
    if not is_uuid(given):
        raise InternalError(f"Invalid Token: {what} - not a valid UUID")
    if given.startswith(_RESERVED):
        raise InternalError(f'Invalid Token: UUIDs with the prefix "{_RESERVED}" are reserved')


def check_identities(
    row: str,
    services: Iterable[ServiceIdentity],
    nodes: Iterable[NodeIdentity],
    templated: Iterable[TemplatedPolicy],
    *,
    local: bool = False,
) -> None:
    """The identities of a `row` ("token" or "role"). Raises InternalError."""
    for service in services:
        if not service.service_name:
            raise InternalError(f"Service identity is missing the service name field on this {row}")
        if local and service.datacenters:
            raise InternalError(
                f'Service identity "{service.service_name}" cannot specify a list of datacenters on a local token'
            )
        if not named_identity(service.service_name):
            raise InternalError(
                f'Service identity "{service.service_name}" has an invalid name. '
                "Only lowercase alphanumeric characters, '-' and '_' are allowed"
            )
    for node in nodes:
        if not node.node_name:
            raise InternalError(f"Node identity is missing the node name field on this {row}")
        if not node.datacenter:
            raise InternalError(f"Node identity is missing the datacenter field on this {row}")
        if not named_identity(node.node_name):
            raise InternalError(
                "Node identity has an invalid name. Only lowercase alphanumeric characters, '-' and '_' are allowed"
            )
    for one in templated:
        _check_templated(one)


def _check_templated(one: TemplatedPolicy) -> None:
    template = TEMPLATES.get(one.template_name)
    if template is None:
        raise InternalError(f'no such ACL templated policy with Name "{one.template_name}"')
    if template.identity and not one.name:
        raise InternalError(
            f'validation error for templated policy "{one.template_name}": 1 error occurred:\n'
            "\t* Invalid type. Expected: object, given: null\n\n"
        )
    try:
        template.rules_text(one.name)
    except BadRequest as error:
        raise InternalError(str(error)) from None


def expiration(ttl_ns: int, given: str, now: datetime) -> str:
    """When a new token ends (RFC 3339), "" for never. Raises InternalError: it cannot end then."""
    if not ttl_ns and not given:
        return ""
    if ttl_ns and given:
        raise InternalError("Token Expiration TTL and Expiration Time cannot both be set")
    if ttl_ns < 0:
        raise InternalError(f"Token Expiration TTL '{format_duration(ttl_ns)}' should be > 0")
    if ttl_ns:
        left_ns = ttl_ns
        try:
            at = now + timedelta(microseconds=ttl_ns // 1000)
        except OverflowError:
            raise InternalError("Token Expiration TTL is too far in the future") from None
    else:
        try:
            at = datetime.fromisoformat(given.replace("Z", "+00:00"))
        except ValueError:
            raise InternalError(f"ExpirationTime {given!r} is not a time in RFC 3339") from None
        if at.tzinfo is None:
            raise InternalError(f"ExpirationTime {given!r} is not a time in RFC 3339")
        left_ns = int((at - now).total_seconds() * 1e9)
        if left_ns < 0:
            raise InternalError("ExpirationTime cannot be before CreateTime")
    if left_ns < MIN_TTL_NS:
        raise InternalError(
            f"ExpirationTime cannot be less than {format_duration(MIN_TTL_NS)} in the future "
            f"(was {format_duration(left_ns)})"
        )
    return at.isoformat().replace("+00:00", "Z")
