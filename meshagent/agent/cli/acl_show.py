"""How `meshagent acl` prints tokens, policies, roles, methods and rules, and how it finds one by the beginning of its
id.

Source: surface rows CL14, CL15; developer.hashicorp.com/consul/commands/acl. `-format=pretty` is what a person reads,
`-format=json` what the API gave. What may change here: nothing that a script parses.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.output import fail, say, show_json

__all__ = [
    "content_of",
    "find_id",
    "method_lines",
    "policy_lines",
    "role_lines",
    "rule_lines",
    "show",
    "show_all",
    "token_lines",
]

Lines = list[str]
FORMATS = ("pretty", "json")


def show(value: Any, lines: Lines, format_: str) -> None:
    """One row. Raises ClickException: an unknown format."""
    _check(format_)
    if format_ == "json":
        show_json(value)
    else:
        say("\n".join(lines))


def show_all(values: Sequence[Any], blocks: Iterable[Lines], format_: str, between: str = "\n\n") -> None:
    """Several rows."""
    _check(format_)
    if format_ == "json":
        show_json(list(values))
        return
    text = between.join("\n".join(lines) for lines in blocks)
    if text:
        say(text)


def _check(format_: str) -> None:
    if format_ not in FORMATS:
        raise fail(f'Unknown format: "{format_}" (use {" or ".join(FORMATS)})')


def content_of(value: str, flag: str) -> str:
    """The value of a flag: `@file` is the content of a file, `-` standard input."""
    if value == "-":
        return sys.stdin.read()
    if not value.startswith("@"):
        return value
    try:
        with open(value[1:], encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"Error processing -{flag}: cannot read {value[1:]}: {error}") from None


def find_id(client: Client, lists: str, field: str, given: str, what: str) -> str:
    """The whole id that begins with `given`. Raises ClickException: none does, or several do."""
    if len(given) == 36:
        return given
    found = [row[field] for row in client.get(f"acl/{lists}") if row[field].startswith(given)]
    if len(found) != 1:
        raise fail(f"{'Several ids begin' if found else f'No such {what}: no id begins'} with {given!r}")
    return str(found[0])


# --- rows -------------------------------------------------------------------------------------------------------------


def _meta(row: Mapping[str, Any], width: int, wanted: bool) -> Lines:
    if not wanted:
        return []
    pairs = (("Hash", row.get("Hash")), ("Create Index", row["CreateIndex"]), ("Modify Index", row["ModifyIndex"]))
    return [f"{name + ':':{width}}{value}" for name, value in pairs if value is not None]


def _links(row: Mapping[str, Any], indent: str = "") -> Lines:
    lines: Lines = []
    for title in ("Policies", "Roles"):
        links = row.get(title) or ()
        if links:
            lines.append(f"{indent}{title}:")
            lines += [f"{indent}   {link['ID']} - {link['Name']}" for link in links]
    if row.get("ServiceIdentities"):
        lines.append(f"{indent}Service Identities:")
        for one in row["ServiceIdentities"]:
            where = ", ".join(one.get("Datacenters") or ()) or "all"
            lines.append(f"{indent}   {one['ServiceName']} (Datacenters: {where})")
    if row.get("NodeIdentities"):
        lines.append(f"{indent}Node Identities:")
        lines += [f"{indent}   {one['NodeName']} (Datacenter: {one['Datacenter']})" for one in row["NodeIdentities"]]
    if row.get("TemplatedPolicies"):
        lines.append(f"{indent}Templated Policies:")
        for one in row["TemplatedPolicies"]:
            lines.append(f"{indent}   {one['TemplateName']}")
            name = (one.get("TemplateVariables") or {}).get("name")
            if name:
                lines.append(f"{indent}      Name: {name}")
            lines.append(f"{indent}      Datacenters: {', '.join(one.get('Datacenters') or ()) or 'all'}")
    return lines


def token_lines(row: Mapping[str, Any], *, meta: bool = False) -> Lines:
    """A token."""
    pairs = [
        ("AccessorID", row["AccessorID"]),
        ("SecretID", row["SecretID"]),
        ("Description", row["Description"]),
        ("Local", str(row["Local"]).lower()),
        ("Auth Method", row.get("AuthMethod")),
        ("Create Time", row["CreateTime"]),
        ("Expiration Time", row.get("ExpirationTime")),
        ("Last Used", row.get("LastUsed")),
    ]
    lines = [f"{name + ':':18}{value}".rstrip() for name, value in pairs if value is not None]
    lines += _meta(row, 18, meta) + _links(row)
    if row.get("ExpandedPolicies"):
        lines += ["", "=== End of Authorizer Layer 0: Token ===", "Policies in force:"]
        for one in row["ExpandedPolicies"]:
            lines += [f"   Policy Name: {one['Name']}", f"      Description: {one['Description']}", "      Rules:"]
            lines += [f"         {line}" for line in one["Rules"].strip().splitlines()]
        lines.append(
            f"Default policy: {row['AgentACLDefaultPolicy']}, down policy: {row['AgentACLDownPolicy']}, "
            f"resolved by {row['ResolvedByAgent']}"
        )
    return lines


def policy_lines(row: Mapping[str, Any], *, meta: bool = False) -> Lines:
    """A policy with its rules."""
    lines = [
        f"ID:           {row['ID']}",
        f"Name:         {row['Name']}",
        f"Description:  {row['Description']}",
        f"Datacenters:  {', '.join(row.get('Datacenters') or ())}",
        *_meta(row, 14, meta),
    ]
    return [line.rstrip() for line in lines] + ["Rules:", row["Rules"]]


def listed_policy_lines(row: Mapping[str, Any], *, meta: bool = False) -> Lines:
    """A policy in a list."""
    lines = [
        f"{row['Name']}:",
        f"   ID:           {row['ID']}",
        f"   Description:  {row['Description']}",
        f"   Datacenters:  {', '.join(row.get('Datacenters') or ())}",
        *(f"   {line}" for line in _meta(row, 14, meta)),
    ]
    return [line.rstrip() for line in lines]


def role_lines(row: Mapping[str, Any], *, meta: bool = False) -> Lines:
    """A role."""
    lines = [
        f"ID:           {row['ID']}",
        f"Name:         {row['Name']}",
        f"Description:  {row['Description']}",
        *_meta(row, 14, meta),
        *_links(row),
    ]
    return [line.rstrip() for line in lines]


def listed_role_lines(row: Mapping[str, Any], *, meta: bool = False) -> Lines:
    """A role in a list."""
    lines = [
        f"{row['Name']}:",
        f"   ID:           {row['ID']}",
        f"   Description:  {row['Description']}",
        *(f"   {line}" for line in _meta(row, 14, meta)),
        *_links(row, "   "),
    ]
    return [line.rstrip() for line in lines]


def method_lines(row: Mapping[str, Any], *, meta: bool = False) -> Lines:
    """An auth method; without a configuration it comes from a list."""
    pairs = [
        ("Name", row["Name"]),
        ("Type", row["Type"]),
        ("Display Name", row.get("DisplayName")),
        ("Description", row["Description"]),
        ("Max Token TTL", row.get("MaxTokenTTL")),
        ("Token Locality", row.get("TokenLocality")),
    ]
    lines = [f"{name + ':':16}{value}".rstrip() for name, value in pairs if value is not None]
    lines += _meta(row, 16, meta)
    if "Config" in row:
        lines += ["Config:", json.dumps(row["Config"], indent=2, ensure_ascii=False)]
    return lines


def rule_lines(row: Mapping[str, Any], *, meta: bool = False) -> Lines:
    """A binding rule."""
    pairs = [
        ("ID", row["ID"]),
        ("AuthMethod", row["AuthMethod"]),
        ("Description", row["Description"]),
        ("BindType", row["BindType"]),
        ("BindName", row["BindName"]),
        ("BindVars", row.get("BindVars")),
        ("Selector", row["Selector"]),
    ]
    lines = [f"{name + ':':14}{value}".rstrip() for name, value in pairs if value is not None]
    return lines + _meta(row, 14, meta)
