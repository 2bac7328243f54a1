"""Which configuration options the code depends on and which metrics it fills, found by reading the code.

Source: our own. A small reading of the syntax trees of meshagent/: an expression that starts at `config` (a parameter,
`self.config`, `agent.config`, a local name bound to one of these) and follows the groups to an option reads that
option; a group handed to another function is read as a whole. Modules that only tell the configuration to others
(`SHOWS`) do not count. A metric is filled when its name stands in a module that is not the list of names. What may
change here: `SHOWS` and `NETWORK`, when such a module or a resolved value comes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import meshagent
from meshagent.agent.config import Config
from meshagent.agent.config.option import Group
from meshagent.metrics_names import DECLARED

__all__ = ["NETWORK", "RELOADS", "SHOWS", "metrics_in_use", "options_in_use", "options_reloaded"]

PACKAGE = Path(meshagent.__file__).parent
#: Modules that show options and do nothing else with them.
SHOWS = (
    "agent/debug_blocks.py",
    "agent/debug_config.py",
    "agent/debug_fields.py",
    "agent/http/agent_self.py",
    "agent/membership.py",
)
#: What resolve.py makes of options: the field of `Config.network` -> the options that decide it.
NETWORK = {
    "advertise_addr": ("advertise_addr", "advertise_addr_ipv4", "advertise_addr_ipv6", "bind_addr"),
    "advertise_addr_wan": ("advertise_addr_wan", "advertise_addr_wan_ipv4", "advertise_addr_wan_ipv6"),
    "tagged_addresses": ("tagged_addresses",),
    "http": ("client_addr", "addresses.http", "ports.http"),
    "https": ("client_addr", "addresses.https", "ports.https"),
    "dns": ("client_addr", "addresses.dns", "ports.dns"),
    "grpc": ("client_addr", "addresses.grpc", "ports.grpc"),
    "grpc_tls": ("client_addr", "addresses.grpc_tls", "ports.grpc_tls"),
    "serf_lan": ("serf_lan", "ports.serf_lan"),
    "serf_wan": ("serf_wan", "ports.serf_wan"),
    "server": ("ports.server",),
}


def options_in_use() -> dict[str, set[str]]:
    """Option -> the modules that depend on it."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        if module.startswith("agent/config/") or module in SHOWS:
            continue
        for key in _read_by(ast.parse(path.read_text())):
            found.setdefault(key, set()).add(module)
    for block, key in [key.rsplit(".", 1) for key in list(found) if key.startswith("tls.")]:
        found.setdefault(f"tls.defaults.{key}", set()).update(found[f"{block}.{key}"])
    return found


#: What `Daemon.reload` calls -> the modules and functions behind it, which take a configuration or a group of it.
RELOADS = {
    "self.role.reload": (
        ("agent/client.py", "reload"),
        ("agent/client.py", "_secured"),
        ("agent/client.py", "_max_age_s"),
        ("agent/server_role.py", "reload"),
        ("agent/cluster.py", "reload"),
        ("agent/cluster.py", "_secured"),
        ("agent/entry_bootstrap.py", "entries_of"),
    ),
    "self.tokens.configure": (("agent/acl/tokens.py", "configure"),),
    "own_node": (("agent/self_registration.py", "own_node"),),
}


def options_reloaded() -> set[str]:
    """Options whose new value `Daemon.reload` hands on, itself or by the functions that `RELOADS` names."""
    reload = _functions("agent/daemon.py")["reload"]
    called = {ast.unparse(node.func) for node in ast.walk(reload) if isinstance(node, ast.Call)}
    if missing := RELOADS.keys() - called:
        raise ValueError(f"Daemon.reload does not call {', '.join(missing)} any more")
    functions = [reload, *(_functions(module)[name] for places in RELOADS.values() for module, name in places)]
    settings = _functions("agent/settings.py")
    found: set[str] = set()
    for function in functions:
        found |= _read_by(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("settings."):
                found |= _read_by(settings[ast.unparse(node.func).removeprefix("settings.")])
    return found | {f"tls.defaults.{key.rsplit('.', 1)[1]}" for key in found if key.startswith("tls.")}


def _functions(module: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse((PACKAGE / module).read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def _read_by(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for function in (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
        names = {"config": ""}  # local name -> the key of the group it holds; "" is the whole configuration
        for node in _in_order(function):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                key = _key(node.value, names)
                if key is not None and (key == "network" or _group(key) is not None):
                    names[node.targets[0].id] = key
            if isinstance(node, ast.Attribute):
                key = _key(node, names)
                if key is not None:
                    found.update(_options(key))
            if isinstance(node, ast.Call):
                for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                    key = _key(argument, names)
                    group = _group(key) if key else None
                    if key and group is not None:
                        found.update(name for name, _ in group.every_option(f"{key}."))
    return found


def _in_order(function: ast.AST) -> Iterable[ast.AST]:
    for node in ast.iter_child_nodes(function):
        yield node
        yield from _in_order(node)


def _key(node: ast.AST, names: dict[str, str]) -> str | None:
    """The key that an expression stands for: "", a group, an option; None for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    if node.attr == "config":
        return ""
    above = _key(node.value, names)
    if above is None:
        return None
    return f"{above}.{node.attr}" if above else node.attr


def _group(key: str) -> type[Group] | None:
    """The group at `key`; None where there is no group."""
    group: type[Group] = Config
    for name in key.split(".") if key else ():
        option = group.options.get(name)
        if option is None or option.kind != "group":
            return None
        group = option.type
    return group


_EVERY = {key for key, _ in Config.every_option()}


def _options(key: str) -> tuple[str, ...]:
    if key in _EVERY:
        return (key,)
    if key.startswith("network."):
        return NETWORK.get(key.removeprefix("network."), ())
    return ()


_FILLS = frozenset({"counter", "gauge", "incr", "measure", "sample", "sampler"})


def metrics_in_use() -> tuple[set[str], set[str]]:
    """(declared metrics that something fills, metrics that are filled without being declared)."""
    texts: set[str] = set()
    patterns: set[str] = set()
    given: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name == "metrics_names.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _FILLS:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    given.add(first.value)
                if isinstance(first, ast.JoinedStr):
                    patterns.add(_pattern(first))
    declared = {row.name for row in DECLARED}
    made = {name for name in declared if any(re.fullmatch(pattern, name) for pattern in patterns)}
    return (declared & texts) | made, given - declared


def _pattern(text: ast.JoinedStr) -> str:
    return "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else "[^.]+" for part in text.values)
