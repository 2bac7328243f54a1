"""Makes docs/compatibility.md and docs/reference/*.md from the tables of the code; `--check` only compares.

Source: our own: agent/http/routes.py, agent/cli/table.py, agent/config, agent/checks/table.py, dns/records.py,
metrics_names.py, agent/compatibility.py, docs/differences.toml, tests/conformance/*.toml. Nothing of what it writes is
edited by hand; tests/meta/test_docs.py fails when a page is older than its tables. What may change here: the form, and
`NOTES` about rows that are there but cannot do all yet.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from entry_fields import executed, reasons
from in_use import metrics_in_use
from surface import evidence, open_rows, sections

from meshagent.agent import compatibility
from meshagent.agent.checks.table import CHECK_TYPES
from meshagent.agent.cli.reference import REFERENCES, endpoint
from meshagent.agent.cli.table import SUBCOMMANDS
from meshagent.agent.config import Config
from meshagent.agent.config import reference as options_reference
from meshagent.agent.http.routes import Route, load_routes
from meshagent.connect.proxy.telemetry.access_format import OPERATORS
from meshagent.connect.proxy.telemetry.exposition import FAMILIES
from meshagent.dns import records
from meshagent.metrics_names import DECLARED

__all__ = ["NOTES", "PAGES", "page"]

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BY_HAND = "Made by `docs/generate.py` from {}; do not edit by hand."

#: Row of an endpoint, or command -> what it cannot do yet although it is there.
NOTES = {
    "A18": "without gossip it fails as if nobody answered",
    "A20": "without gossip only this agent is known",
    "A25": "401, as with ACLs off",
    "force-leave": "without gossip only this agent is known",
    "join": "without gossip it fails as if nobody answered",
}
FLAGS = {
    "B": "blocks with `?index`",
    "H": "blocks with `?hash`",
    "C": "`?stale`, `?consistent`",
    "K": "`?cached` (s: simple, b: refreshed in the background)",
    "F": "`?filter`",
    "N": "`?near`",
    "M": "`?node-meta`",
}


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    names = head.split(" | ")
    yield f"| {head} |"
    yield "|" + " --- |" * len(names)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


# --- HTTP ------------------------------------------------------------------------------------------------------


def state(route: Route) -> str:
    """What a client finds behind a row."""
    if not route.built:
        return "501"
    if route.row.startswith("AC") and compatibility.waits_for("acl.enabled"):
        return "401, as with ACLs off"
    return _built(route.row)


def _built(name: str) -> str:
    return f"built, but {NOTES[name]}" if name in NOTES else "built"


def _is_built(route: Route) -> bool:
    return state(route).startswith("built")


def family(route: Route) -> str:
    """The first part of the path, by which endpoints are grouped: `agent`, `catalog` ..."""
    return route.path.split("/")[2]


def _families() -> dict[str, list[Route]]:
    found: dict[str, list[Route]] = {}
    for route in load_routes():
        found.setdefault(family(route), []).append(route)
    return found


def http() -> Iterator[str]:
    """docs/reference/http.md."""
    yield "# HTTP API"
    yield ""
    yield BY_HAND.format("the route tables in `meshagent/agent/http`")
    yield ""
    yield (
        "Consul's HTTP API, on port 8500. *state*: 501 is not built yet. *acl*: what a token will need. *row*: of the "
        "compatibility list. What a read takes:"
    )
    yield ""
    yield from (f"- **{letter}**: {text}" for letter, text in FLAGS.items())
    for name, routes in _families().items():
        yield ""
        yield f"## {name}"
        yield ""
        yield from _table(
            "endpoint | what it does | state | reads | acl | row",
            ((f"`{endpoint(r)}`", r.summary, state(r), r.flags, r.acl, r.row) for r in routes),
        )
        examples = [route.example for route in routes if route.example and _is_built(route)]
        if examples:
            yield ""
            yield from (f"    {example}" for example in examples)


# --- command line ----------------------------------------------------------------------------------------------


def cli() -> Iterator[str]:
    """docs/reference/cli.md."""
    os.environ["COLUMNS"] = "80"  # click asks how wide the terminal is
    first, *lines = "\n".join(REFERENCES["cli"]()).splitlines()
    yield first
    yield ""
    yield BY_HAND.format("`meshagent/agent/cli`")
    yield from (line.rstrip() for line in lines)


# --- options ---------------------------------------------------------------------------------------------------


def configuration() -> Iterator[str]:
    """docs/reference/configuration.md: that of `meshagent reference config`, and what has no effect yet."""
    starts = {f"| `{key}` |": key for key, option in Config.every_option() if not option.inert}
    for number, line in enumerate(options_reference().splitlines()):
        if number == 2:
            yield BY_HAND.format("`meshagent/agent/config`")
            yield ""
            yield line
            yield ""
            yield (
                "*not yet*: read and checked, but what it belongs to is not built. *when asked for*: by SIGHUP, "
                "`reload` or the API; `auto_reload_config` leaves these as they are, because they say whom to trust."
            )
            continue
        key = starts.get(line[: line.find("|", 2) + 1], "")
        feature = compatibility.waits_for(key)
        yield f"{line.removesuffix(' |')} *not yet: {feature}* |" if feature else line


def _option_lists() -> tuple[list[str], dict[str, list[str]], list[str]]:
    """(keys with an effect, feature -> keys that wait for it, keys that never have one)."""
    working, waiting, inert = [], {row.feature: [] for row in compatibility.WAITING}, []
    for key, option in Config.every_option():
        feature = compatibility.waits_for(key)
        if option.inert:
            inert.append(key)
        elif feature:
            waiting[feature].append(key)
        else:
            working.append(key)
    return working, {feature: keys for feature, keys in waiting.items() if keys}, inert


def _by_group(keys: list[str]) -> Iterator[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for key in keys:
        group, _, name = key.rpartition(".")
        groups.setdefault(group, []).append(name)
    for group, names in groups.items():
        yield f"`{group}`" if group else "(top level)", ", ".join(f"`{name}`" for name in names)


# --- metrics ---------------------------------------------------------------------------------------------------


def metrics() -> Iterator[str]:
    """docs/reference/metrics.md."""
    filled, undeclared = metrics_in_use()
    yield "# Metrics"
    yield ""
    yield BY_HAND.format("`meshagent/metrics_names.py` and where metrics are filled")
    yield ""
    yield (
        "`GET /v1/agent/metrics` has the last interval of ten seconds as JSON; `?format=prometheus` all of it as text, "
        "when `telemetry.prometheus_retention_time` is above 0. Names there begin with `consul_` "
        "(`telemetry.metrics_prefix`) and have `_` where a dot stands here; gauges have the host's name in theirs "
        "unless `telemetry.disable_hostname` is set. The standard `process_` metrics come with them."
    )
    for kind in ("gauge", "counter", "summary"):
        rows = [row for row in DECLARED if row.kind == kind and row.name in filled]
        yield ""
        yield f"## {kind.capitalize()}"
        yield ""
        yield from _table("name | what it says", ((f"`{row.name}`", row.help) for row in rows))
    if undeclared:
        yield ""
        yield "Shown once they have happened: " + ", ".join(f"`{name}`" for name in sorted(undeclared)) + "."
    yield ""
    yield "## Declared only"
    yield ""
    yield "Shown from the start, so that dashboards and alerts made for Consul find them; nothing fills them yet:"
    yield ""
    yield ", ".join(f"`{row.name}`" for row in DECLARED if row.name not in filled) + "."
    yield ""
    yield "## The sidecar"
    yield ""
    yield (
        "`meshagent connect proxy` answers `/metrics` and `/ready` where `-metrics-bind`, or "
        "`envoy_prometheus_bind_addr` of its configuration, says. Names begin with `meshagent_proxy_`; each has the "
        "labels `service` and `proxy_id`, and those of traffic `direction`, `source`, `destination` and `route`."
    )
    yield ""
    yield from _table("name | kind | what it says", ((f"`{row.name}`", row.kind, row.help) for row in FAMILIES))
    yield ""
    yield "Operators of access logs (Envoy's): " + ", ".join(f"`%{name}%`" for name in sorted(OPERATORS)) + "."


# --- all of it, beside Consul ----------------------------------------------------------------------------------


def compatible() -> Iterator[str]:
    """docs/compatibility.md."""
    routes = load_routes()
    working, waiting, inert = _option_lists()
    owned = [row for row in SUBCOMMANDS if row.row]
    lacking = sum(len(keys) for keys in waiting.values())
    records_built = [row for row in _names() if "none yet" not in row.help]
    yield "# Compatibility with Consul"
    yield ""
    yield BY_HAND.format("the tables of the code")
    yield ""
    yield (
        "The measure is Consul Community Edition 1.20. *row* is the number of a feature in the list we build against; "
        "tests and comments quote it."
    )
    yield ""
    yield from _table(
        "what | built | not yet",
        (
            ("HTTP endpoints", str(sum(map(_is_built, routes))), str(sum(not _is_built(route) for route in routes))),
            ("commands", f"{len(owned)}, and {len(SUBCOMMANDS) - len(owned)} of our own", "0"),
            ("configuration options", str(len(working)), f"{lacking}; {len(inert)} never have an effect"),
            ("types of checks", str(len(CHECK_TYPES)), "0"),
            ("kinds of DNS answers", str(len(records_built)), str(len(_names()) - len(records_built))),
        ),
    )
    yield ""
    yield "Details: [HTTP API](reference/http.md), [command line](reference/cli.md),"
    yield "[configuration](reference/configuration.md), [metrics](reference/metrics.md), and"
    yield "[every row of the list with what shows it](reference/surface.md)."
    for section in (_differences, _endpoints, _commands, _options, _checks, _dns, _replayed):
        yield ""
        yield from section()


def _differences() -> Iterator[str]:
    yield "## What differs on purpose"
    yield ""
    rows = tomllib.loads((DOCS / "differences.toml").read_text())["difference"]
    yield from _table("row | what | why", ((one["row"], one["what"], one["reason"]) for one in rows))
    recorded = tomllib.loads((ROOT / "tests/conformance/differences.toml").read_text()).get("difference", [])
    if recorded:
        yield ""
        yield "In recorded answers (scenario and steps of the conformance suite):"
        yield ""
        yield from _table(
            "row | what | why | where",
            (
                (one["row"], one["what"], one["reason"], f"{one['scenario']} {', '.join(map(str, one['steps']))}")
                for one in recorded
            ),
        )


def _endpoints() -> Iterator[str]:
    yield "## HTTP endpoints"
    yield ""
    yield "501: the answer is *not built yet*. The letters are explained in [the reference](reference/http.md)."
    for name, routes in _families().items():
        yield ""
        yield f"### {name}"
        yield ""
        yield from _table(
            "row | endpoint | state | reads", ((r.row, f"`{endpoint(r)}`", state(r), r.flags) for r in routes)
        )


def _commands() -> Iterator[str]:
    yield "## Command line"
    yield ""
    yield from _table(
        "row | command | state", ((row.row or "ours", f"`{row.path}`", _built(row.path)) for row in SUBCOMMANDS)
    )


def _options() -> Iterator[str]:
    working, waiting, inert = _option_lists()
    yield "## Configuration"
    yield ""
    yield "Every key is read and checked. These have an effect:"
    yield ""
    yield from _table("group | keys", _by_group(working))
    yield ""
    yield "These do nothing yet, for what they belong to is not built:"
    yield ""
    yield from _table(
        "what they belong to | keys",
        ((feature, ", ".join(f"`{key}`" for key in keys)) for feature, keys in waiting.items()),
    )
    yield ""
    yield "These never do anything here; they are accepted so that files load:"
    yield ""
    yield ", ".join(f"`{key}`" for key in inert) + "."


def _checks() -> Iterator[str]:
    yield "## Health checks"
    yield ""
    yield from _table(
        "type | passes when | example",
        ((f"`{row.kind}`", row.help, f"`{json.dumps(row.example)}`") for row in CHECK_TYPES.values()),
    )


def _names() -> tuple[records.Row, ...]:
    return (*records.ROWS, *records.ZONE_ROWS)


def _dns() -> Iterator[str]:
    yield "## DNS"
    yield ""
    types = {number: name for name, number in vars(records).items() if name.isupper() and type(number) is int}
    known = ("A", "AAAA", "ANY", "AXFR", "NS", "SOA", "SRV", "TXT")
    named = {number: name for number, name in types.items() if name in known}
    yield from _table(
        "kind | types | answer | example",
        (
            (row.kind.value, " ".join(named[number] for number in row.types) or "others", row.help, f"`{row.example}`")
            for row in _names()
        ),
    )


def _replayed() -> Iterator[str]:
    yield "## Replayed recordings"
    yield ""
    yield "`tests/conformance` replays what a real Consul 1.20.1 answered (`tests/data/golden`) to a running agent,"
    yield "step by step. A step matches when status, headers and body agree. The least share that must match:"
    yield ""
    rows = tomllib.loads((ROOT / "tests/conformance/required.toml").read_text())
    yield from _table(
        "scenario | at least | remark",
        ((name, f"{row['percent']:g} %", row.get("reason", "")) for name, row in sorted(rows.items())),
    )


def config_entries() -> Iterator[str]:
    """docs/reference/config-entries.md."""
    found, why = executed(), reasons()
    yield "# Config entries in the built-in proxy"
    yield ""
    yield BY_HAND.format("the types in `meshagent/catalog/entries` and `docs/executed.toml`, checked against the code")
    yield ""
    yield (
        "Every field of every kind is checked, stored and returned as Consul does. *executed*: the built-in proxy (or "
        "what puts its snapshot together) acts on it, in the module named; *kept*: it is kept and returned only, with "
        "a reason where there is nothing to be done. What goes beyond Consul's fields (`l7_` keys of `Meta`, blocks of "
        "the opaque configuration) is in the pages of [the proxy](../../meshagent/connect/proxy/README.md)."
    )
    for kind, fields in found.items():
        count = sum(map(bool, fields.values()))
        yield ""
        yield f"## {kind}"
        yield ""
        nothing = f", {len(why[kind])} need nothing" if why[kind] else ""
        yield f"{count} of {len(fields)} fields are executed{nothing}."
        yield ""
        yield from _table(
            "field | built-in proxy",
            (
                (
                    f"`{path}`",
                    f"executed: `{module.removeprefix('meshagent/')}`"
                    if module
                    else f"kept: {why[kind][path]}"
                    if path in why[kind]
                    else "kept",
                )
                for path, module in fields.items()
            ),
        )


def surface() -> Iterator[str]:
    """docs/reference/surface.md."""
    shown, waiting = evidence(), open_rows()
    rows = [number for _, found in sections() for number, _ in found]
    yield "# Every row of the list"
    yield ""
    yield BY_HAND.format("`docs/surface.toml` and what code, tests and recordings quote")
    yield ""
    yield (
        f"What Consul 1.20 is to its users, in {len(rows)} rows: {len(rows) - len(waiting)} are built, {len(waiting)} "
        "are not, each with its reason. Behind a built row stands what shows it best: recorded answers that are "
        "replayed, tests that name it, the table or the module that has it. What differs on purpose: "
        "[compatibility](../compatibility.md#what-differs-on-purpose)."
    )
    for name, found in sections():
        yield ""
        yield f"## {name}"
        yield ""
        yield from _table(
            "row | what | state",
            ((n, what, f"not built: {waiting[n]}" if n in waiting else ", ".join(shown[n][:3])) for n, what in found),
        )


#: Path under docs/ -> what makes its lines.
PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "compatibility.md": compatible,
    "reference/cli.md": cli,
    "reference/config-entries.md": config_entries,
    "reference/configuration.md": configuration,
    "reference/http.md": http,
    "reference/metrics.md": metrics,
    "reference/surface.md": surface,
}


def page(name: str) -> str:
    """The text of one page."""
    return "\n".join(PAGES[name]()).rstrip("\n") + "\n"


def main(words: list[str]) -> int:
    """Write what has changed, or with `--check` only name it; the exit status."""
    stale = []
    for name in PAGES:
        path, text = DOCS / name, page(name)
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in words:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
    for name in stale:
        print(f"docs/{name}: {'older than its tables' if '--check' in words else 'written'}")
    return 1 if stale and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
