"""Templates of prepared queries: one definition that answers every name with its prefix.

Source: surface row PQ5; developer.hashicorp.com/consul/api-docs/query#prepared-query-templates. Texts of the `Service`
block may hold `${name.full}`, `${name.prefix}`, `${name.suffix}`, `${match(N)}` (a group of `Template.Regexp`, "" when
there is none) and `${agent.segment}`; `$${` is a plain `${`. Consul's interpolation language has functions beyond
`match`: they are not offered, and a definition that uses one is refused when it is written.

What may change here: further variables, as a row of `_variables`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from meshagent.catalog.go_regexp import compile_search
from meshagent.catalog.model import PreparedQuery, QueryFailover, QueryService

__all__ = ["PREFIX_MATCH", "check", "is_template", "render"]

PREFIX_MATCH = "name_prefix_match"

_TOKEN = re.compile(r"\s*(?:([A-Za-z_][A-Za-z0-9_.-]*)|([0-9]+)|\"([^\"\\]*)\"|([(),]))", re.ASCII)


def is_template(query: PreparedQuery) -> bool:
    """Whether a definition answers for a prefix."""
    return bool(query.template.type)


def check(query: PreparedQuery) -> None:
    """Refuse a template that could not be rendered.

    Raises:
        ValueError: with Consul's words.
    """
    template = query.template
    if template.type != PREFIX_MATCH:
        raise ValueError(f"Bad Template.Type '{template.type}'")
    render(query, query.name)


def render(query: PreparedQuery, name: str, segment: str = "") -> PreparedQuery:
    """The definition that a template gives for a name.

    Raises:
        ValueError: the template is broken; `check` finds that before one is stored.
    """
    template = query.template
    groups: tuple[str, ...] = ()
    if template.regexp:
        groups = _groups(template.regexp, name)
    variables = {
        "name.full": name,
        "name.prefix": query.name,
        "name.suffix": name[len(query.name) :],
        "agent.segment": segment,
    }
    service = _service(query.service, lambda text, where: _interpolate(text, where, variables, groups))
    if template.remove_empty_tags and service.tags is not None:
        service = msgspec.structs.replace(service, tags=tuple(tag for tag in service.tags if tag) or None)
    return msgspec.structs.replace(query, service=service)


def _groups(pattern: str, name: str) -> tuple[str, ...]:
    try:
        found = compile_search(pattern)(name)
    except ValueError as error:
        raise ValueError(f"Bad Regexp: {error}") from None
    return () if found is None else (found[0], *(group or "" for group in found.groups()))


Fill = Callable[[str, str], str]


def _service(service: QueryService, fill: Fill) -> QueryService:
    """The block with every text filled in."""

    def texts(values: tuple[str, ...] | None, where: str) -> tuple[str, ...] | None:
        return None if values is None else tuple(fill(text, f"{where}[{at}]") for at, text in enumerate(values))

    def meta(values: Mapping[str, str] | None, where: str) -> dict[str, str] | None:
        return None if values is None else {key: fill(text, f"{where}[{key}]") for key, text in values.items()}

    failover = service.failover
    targets = failover.targets
    if targets is not None:
        targets = tuple(
            msgspec.structs.replace(
                target,
                peer=fill(target.peer, f"Service.Failover.Targets[{at}].Peer"),
                datacenter=fill(target.datacenter, f"Service.Failover.Targets[{at}].Datacenter"),
            )
            for at, target in enumerate(targets)
        )
    return msgspec.structs.replace(
        service,
        service=fill(service.service, "Service.Service"),
        failover=QueryFailover(
            nearest_n=failover.nearest_n,
            datacenters=texts(failover.datacenters, "Service.Failover.Datacenters"),
            targets=targets,
        ),
        ignore_check_ids=texts(service.ignore_check_ids, "Service.IgnoreCheckIDs"),
        near=fill(service.near, "Service.Near"),
        tags=texts(service.tags, "Service.Tags"),
        node_meta=meta(service.node_meta, "Service.NodeMeta"),
        service_meta=meta(service.service_meta, "Service.ServiceMeta"),
        peer=fill(service.peer, "Service.Peer"),
    )


class _BadFormat(ValueError):
    """The text does not parse; the message has the place."""


def _interpolate(text: str, where: str, variables: Mapping[str, str], groups: tuple[str, ...]) -> str:
    if "${" not in text:
        return text
    parts: list[str] = []
    at = 0
    try:
        while (start := text.find("${", at)) >= 0:
            if start > at and text[start - 1] == "$":
                parts.append(text[at:start] + "{")
                at = start + 2
                continue
            parts.append(text[at:start])
            value, at = _expression(text, start + 2, variables, groups)
            parts.append(value)
    except _BadFormat as error:
        raise ValueError(f"Bad format '{text}' in {where}: parse error at {error}") from None
    except LookupError as error:
        raise ValueError(f"Bad evaluation for '{text}' in {where}: {error.args[0]}") from None
    return "".join(parts) + text[at:]


def _expression(text: str, at: int, variables: Mapping[str, str], groups: tuple[str, ...]) -> tuple[str, int]:
    """The value of the expression at `at`, and where the text goes on behind its `}`."""
    name, start, at = _next(text, at)
    if name is None or not name[1]:
        raise _BadFormat(f"1:{start + 1}: expected expression but found {_found(text, start)}")
    value: str
    token, place, after = _next(text, at)
    if token is not None and token[4] == "(":
        argument, place, after = _next(text, after)
        if argument is None or not (argument[2] or argument[3] is not None):
            raise _BadFormat(f"1:{place + 1}: expected expression but found {_found(text, place)}")
        closing, place, at = _next(text, after)
        if closing is None or closing[4] != ")":
            raise _BadFormat(f'1:{place + 1}: expected ")" but found {_found(text, place)}')
        if name[1] != "match":
            raise LookupError(f"1:{start + 1}: unknown function called: {name[1]}")
        value = _match(argument[2] or argument[3], start, groups)
    elif name[1] in variables:
        value = variables[name[1]]
    else:
        raise LookupError(f"1:{start + 1}: unknown variable accessed: {name[1]}")
    end = at
    while text[end : end + 1].isspace():
        end += 1
    if text[end : end + 1] != "}":
        raise _BadFormat(f'1:{end + 1}: expected "}}" but found {_found(text, end)}')
    return value, end + 1


def _match(number: str, start: int, groups: tuple[str, ...]) -> str:
    if not (number.isascii() and number.isdigit()):
        raise LookupError(f'1:{start + 1}: match: strconv.ParseInt: parsing "{number}": invalid syntax')
    return groups[int(number)] if len(number) < 6 and int(number) < len(groups) else ""


def _next(text: str, at: int) -> tuple[Any, int, int]:
    """The token at `at` (None for something else), where it starts and where it ends."""
    found = _TOKEN.match(text, at)
    if found is not None:
        return found, found.start(found.lastindex or 0), found.end()
    while text[at : at + 1].isspace():
        at += 1
    return None, at, at


def _found(text: str, at: int) -> str:
    return f'"{text[at]}"' if at < len(text) else "end of string"
