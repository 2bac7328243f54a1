"""The least that must be allowed for observed traffic: service-intentions entries from edges. Pure.

Only what was let in on an inbound side counts: there the source is proven by a certificate. With paths wanted, HTTP
traffic becomes permissions by first path segment and method; a source whose paths are too many to tell apart is allowed
as a whole.

Source: surface row M28 (`service-intentions`); issue "intention suggest". What may change here: further observations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from meshagent.connect.proxy.telemetry.book import OTHER

__all__ = ["Seen", "from_edges", "from_lines", "suggested"]

#: (source, destination) -> {(method, first part of the path): count}; ("", "") stands for a connection.
Seen = dict[tuple[str, str], dict[tuple[str, str], int]]

#: Paths of one source above which they are no longer told apart.
_MOST_PATHS = 20
_AUDIT = re.compile(r"intention audit: would be denied: source=(\S+) destination=(\S+) ")


def from_edges(edges: Iterable[dict[str, Any]]) -> Seen:
    """What sidecars tell of themselves (`/edges`)."""
    seen: Seen = {}
    for edge in edges:
        if edge["direction"] != "inbound" or not edge["source"] or OTHER in {edge["source"], edge["destination"]}:
            continue
        if not edge["paths"] and not edge["connections"]:
            continue  # nobody was let through
        found = seen.setdefault((edge["source"], edge["destination"]), {})
        for method, path, count in edge["paths"]:
            found[method, path] = found.get((method, path), 0) + count
        if edge["connections"]:
            found["", ""] = found.get(("", ""), 0) + edge["connections"]
    return seen


def from_lines(lines: Iterable[dict[str, Any] | str]) -> Seen:
    """What was written down: objects of `tap -json`, lines of a log with audited decisions."""
    seen: Seen = {}
    for line in lines:
        if isinstance(line, str):
            match = _AUDIT.search(line)
            if match is not None:
                found = seen.setdefault((match[1], match[2]), {})
                found["", ""] = found.get(("", ""), 0) + 1
        elif (
            line.get("direction") == "inbound"
            and line.get("source")
            and line.get("upstream" if line.get("method") else "source")
        ):
            first = str(line.get("path") or "").partition("?")[0].split("/", 2)[1:2]
            method = str(line.get("method") or "")
            key = (method, f"/{first[0]}" if first else "/") if method else ("", "")
            found = seen.setdefault((str(line["source"]), str(line.get("destination"))), {})
            found[key] = found.get(key, 0) + 1
    return seen


def suggested(seen: Seen, *, paths: bool = False, deny_others: bool = False) -> list[dict[str, Any]]:
    """Entries as `config write` takes them, one for each destination, in order of names. `deny_others` adds the rule
    that denies whoever was not seen."""
    found: dict[str, list[dict[str, Any]]] = {}
    for (source, destination), what in sorted(seen.items()):
        rule: dict[str, Any] = {"Name": source}
        permissions = _permissions(what) if paths else []
        if permissions:
            rule["Permissions"] = permissions
        else:
            rule["Action"] = "allow"
        rule["Description"] = f"seen {sum(what.values())} times"
        found.setdefault(destination, []).append(rule)
    entries = []
    for destination, sources in sorted(found.items()):
        if deny_others and all(one["Name"] != "*" for one in sources):
            sources.append({"Name": "*", "Action": "deny"})
        entries.append({"Kind": "service-intentions", "Name": destination, "Sources": sources})
    return entries


def _permissions(what: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
    """By path; none when there are connections without requests, or paths that were not told apart."""
    methods: dict[str, list[str]] = {}
    for method, path in sorted(what):
        if not method or path == OTHER:
            return []
        methods.setdefault(path, []).append(method)
    if len(methods) > _MOST_PATHS:
        return []
    found = []
    for path, names in methods.items():
        if path == "/":
            found.append({"Action": "allow", "HTTP": {"PathExact": "/", "Methods": names}})
        else:
            # Two rules, so that `/api` does not allow `/apiary`.
            found.append({"Action": "allow", "HTTP": {"PathExact": path, "Methods": names}})
            found.append({"Action": "allow", "HTTP": {"PathPrefix": f"{path}/", "Methods": names}})
    return found
