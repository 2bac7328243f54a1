"""I/O edge: `meshagent migrate from-consul`: copy what a running cluster holds into ours.

Source: our own. It reads any API that is compatible with Consul's, writes what is missing or different, and deletes
nothing, so that it can be run again until both agree. What may change here: what is shown.
"""

from __future__ import annotations

import os
from typing import Any

from meshagent.agent.cli.client import ApiError, Client, settings_from
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.migration import PARTS, Part, Step, difference, plan
from meshagent.agent.cli.output import fail, say

__all__ = ["from_consul"]

_NAMES = ", ".join(part.name for part in PARTS)


@api_command("from-consul", "SOURCE", "Copy keys, entries, ACLs, queries and services from a running Consul")
@switch("dry-run", "Show what would be written, and write nothing")
@switch("diff", "Show how objects differ")
@text("only", f"Only these, comma-separated: {_NAMES}")
@switch("with-secrets", "Copy tokens too, with their secrets")
@text("source-token", "ACL token at the source [CONSUL_SOURCE_TOKEN]")
@text("source-token-file", "File with the ACL token at the source")
@text("source-ca-file", "File with the source's authority")
def from_consul(
    client: Client,
    args: tuple[str, ...],
    dry_run: bool,
    diff: bool,
    only: str,
    with_secrets: bool,
    source_token: str,
    source_token_file: str,
    source_ca_file: str,
) -> int:
    """Copy what the agent at SOURCE (http://host:8500) and its servers hold into the cluster of -http-addr.

    What is there already and equal is left alone; nothing is deleted. Services are those of the agent at SOURCE
    itself: run it beside each agent. Services that have gone over to another agent must be deregistered at the old
    one by hand."""
    expect(args, 1, 1, "Must provide exactly one address to copy from, e.g. http://10.0.0.1:8500")
    parts = _parts(only, with_secrets)
    flags = {"http_addr": args[0], "token_file": source_token_file, "ca_file": source_ca_file}
    flags["token"] = source_token or ("" if source_token_file else os.environ.get("CONSUL_SOURCE_TOKEN", ""))
    source = Client(settings_from(flags, {}))
    failed = 0
    for part in parts:
        found = _read(part, source, client)
        if found is None:
            continue
        theirs, ours = found
        steps = plan(part, theirs, ours)
        if dry_run or diff:
            for step in steps:
                say(f"{'+' if step.old is None else '~'} {part.name} {step.name}")
                if diff:
                    for line in difference(step):
                        say(f"    {line}")
        failed += _report(part, steps, len(theirs), [] if dry_run else list(part.write(client, steps)), dry_run)
    return 1 if failed else 0


def _parts(only: str, with_secrets: bool) -> list[Part]:
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in {part.name for part in PARTS}]
    if unknown:
        raise fail(f"-only: {unknown[0]!r} is not one of {_NAMES}")
    return [part for part in PARTS if (part.name in wanted if wanted else True) and (with_secrets or not part.secret)]


def _read(part: Part, source: Client, target: Client) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What both hold; None where a cluster has nothing of the kind to give or to take."""
    found = []
    for who, api in (("source", source), ("target", target)):
        try:
            found.append(part.read(api))
        except ApiError as error:
            if error.status == 401 and "ACL support disabled" in str(error):
                say(f"{part.name}: left out, the {who} has no ACLs")
                return None
            raise fail(f"{part.name}: the {who} refuses to be read: {error}") from None
    return found[0], found[1]


def _report(part: Part, steps: list[Step], total: int, written: list[tuple[Step, str]], dry_run: bool) -> int:
    new = sum(step.old is None for step in steps)
    words = "would be written" if dry_run else "written"
    problems = [(step, problem) for step, problem in written if problem]
    for step, problem in problems:
        say(f"! {part.name} {step.name}: {problem}")
    done = len(steps) - len(problems)
    equal = total - len(steps)
    say(f"{part.name}: {done} {words} ({new} new), {equal} equal" + (f", {len(problems)} failed" if problems else ""))
    return len(problems)
