"""The flags with which `meshagent acl token|role` say what is granted, as the body of the API.

Source: surface row CL14; developer.hashicorp.com/consul/commands/acl/token/create. What may change here: nothing that a
script could have written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from meshagent.agent.cli.acl_show import content_of, find_id
from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import text
from meshagent.agent.cli.output import fail

__all__ = ["identities", "link_flags", "links", "merged", "templated_in"]

_FLAGS = (
    ("policy-id", "Id of a policy, or its beginning; may be repeated"),
    ("policy-name", "Name of a policy; may be repeated"),
    ("service-identity", "SERVICE or SERVICE:DC1,DC2; may be repeated"),
    ("node-identity", "NODE:DC; may be repeated"),
    ("templated-policy", "Name of a templated policy; -var gives its variables"),
    ("var", "name:VALUE, a variable of -templated-policy"),
    ("templated-policy-file", "File with templated policies, HCL or JSON"),
)
_ROLE_FLAGS = (
    ("role-id", "Id of a role, or its beginning; may be repeated"),
    ("role-name", "Name of a role; may be repeated"),
)


def link_flags(*, roles: bool, append: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """All of them, also as `-append-...` when `append`."""
    names = [*_FLAGS, *(_ROLE_FLAGS if roles else ())]
    if append:
        names += [(f"append-{name}", f"Add: {help[0].lower()}{help[1:]}") for name, help in names if name != "var"]

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        for name, help in reversed(names):
            function = text(name, help, multiple=True)(function)
        return function

    return wrap


def links(client: Client, given: Mapping[str, Sequence[str]], prefix: str = "") -> dict[str, list[dict[str, Any]]]:
    """What the flags grant, by the names of the API; what no flag speaks of is absent."""

    def values(name: str) -> Sequence[str]:
        return given.get(prefix + name, ())

    body = {
        "Policies": [{"ID": find_id(client, "policies", "ID", one, "policy")} for one in values("policy_id")]
        + [{"Name": one} for one in values("policy_name")],
        "Roles": [{"ID": find_id(client, "roles", "ID", one, "role")} for one in values("role_id")]
        + [{"Name": one} for one in values("role_name")],
        **identities(values("service_identity"), values("node_identity")),
        "TemplatedPolicies": _templated(
            values("templated_policy"), given.get("var", ()), values("templated_policy_file")
        ),
    }
    return {name: found for name, found in body.items() if found}


def identities(services: Sequence[str], nodes: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Identities as they are written in flags. Raises ClickException."""
    found: dict[str, list[dict[str, Any]]] = {"ServiceIdentities": [], "NodeIdentities": []}
    for one in services:
        name, colon, where = one.partition(":")
        row: dict[str, Any] = {"ServiceName": name}
        if colon:
            row["Datacenters"] = [dc for dc in where.split(",") if dc]
        found["ServiceIdentities"].append(row)
    for one in nodes:
        name, _, where = one.partition(":")
        if not name or not where:
            raise fail(f"Malformed -node-identity argument: {one!r}: NODE:DATACENTER is expected")
        found["NodeIdentities"].append({"NodeName": name, "Datacenter": where})
    return found


def _templated(names: Sequence[str], variables: Sequence[str], files: Sequence[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if variables and not names:
        raise fail("Cannot specify variables without specifying -templated-policy")
    given: dict[str, str] = {}
    for one in variables:
        name, colon, value = one.partition(":")
        if not colon or name != "name":
            raise fail(f"Malformed -var argument: {one!r}: name:VALUE is expected")
        given["Name"] = value
    for name in names:
        row: dict[str, Any] = {"TemplateName": name}
        if given:
            row["TemplateVariables"] = given
        found.append(row)
    for path in files:
        found += templated_in(path)
    return found


def templated_in(path: str) -> list[dict[str, Any]]:
    """`TemplatedPolicy "builtin/service" { Name = "api" Datacenters = ["dc1"] }`, any number of them."""
    from meshagent.hcl import parse_hcl, parse_json

    content = content_of("@" + path, "templated-policy-file")
    root = (parse_json if path.endswith(".json") else parse_hcl)(content, path).root
    blocks = root.get("TemplatedPolicy")
    found = []
    for block in blocks if isinstance(blocks, list) else [blocks] if blocks else []:
        for name, bodies in block.items():
            for body in bodies if isinstance(bodies, list) else [bodies]:
                row: dict[str, Any] = {"TemplateName": name}
                if body.get("Name"):
                    row["TemplateVariables"] = {"Name": body["Name"]}
                if body.get("Datacenters"):
                    row["Datacenters"] = list(body["Datacenters"])
                found.append(row)
    if not found:
        raise fail(f"{path} has no TemplatedPolicy")
    return found


def merged(client: Client, held: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What a row is to grant: plain flags replace what is held, `-append-` ones add to it."""
    replace, append = links(client, given), links(client, given, "append_")
    body = {}
    for name in ("Policies", "Roles", "ServiceIdentities", "NodeIdentities", "TemplatedPolicies"):
        if name in replace and name in append:
            raise fail(f"Cannot both replace and append {name}")
        found = replace.get(name) or [*(held.get(name) or ()), *append.get(name, ())]
        if found:
            body[name] = found
    return body
