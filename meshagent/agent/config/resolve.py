"""From what was given to what holds: defaults that depend on other options, on the host, and addresses.

Source: surface rows G3, G5, G8, G11, G12, G15. Pure: the host's name and addresses come in as `Host`. What cannot hold
is added to the draft's problems; rules.py judges the rest. Which address is advertised decides whether a cluster
forms: change nothing here without the table in its tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from meshagent.agent.config.merge import Draft
from meshagent.agent.config.resolved import Listen, Network
from meshagent.agent.config.root import Config
from meshagent.agent.config.security import TLS, TLSProtocol
from meshagent.agent.sockaddr import Interface, evaluate, private_interfaces, public_interfaces
from meshagent.errors import ConfigError

__all__ = ["ANY_ADDRESSES", "Host", "fill", "network"]

ANY_ADDRESSES = frozenset({"0.0.0.0", "::", "[::]"})
_OLD_TLS_NAMES = {"tls10": "TLSv1_0", "tls11": "TLSv1_1", "tls12": "TLSv1_2", "tls13": "TLSv1_3"}
_GRPC_TLS_PORT = 8503


class Host(NamedTuple):
    """What the configuration asks of the machine."""

    name: str
    interfaces: Callable[[], Sequence[Interface]]
    lacks_folder: Callable[[str], bool] = lambda _: False
    """Whether it is known that there is no such folder."""


def fill(config: Config, draft: Draft, host: Host) -> Config:
    """`config` with the defaults that depend on other options."""
    changes: dict[str, Any] = {
        "node_name": config.node_name or host.name,
        "datacenter": config.datacenter.lower(),
        "primary_datacenter": (config.primary_datacenter or config.datacenter).lower(),
        "domain": _domain(config.domain),
        "alt_domain": _domain(config.alt_domain),
        "acl": config.acl.replace(role_ttl=_or(config.acl.role_ttl, config.acl.policy_ttl)),
        "leave_on_terminate": _or(config.leave_on_terminate, not config.server),
        "skip_leave_on_interrupt": _or(config.skip_leave_on_interrupt, config.server),
        "ports": config.ports.replace(grpc_tls=_or(config.ports.grpc_tls, _GRPC_TLS_PORT if config.server else -1)),
        "tls": _tls(config.tls),
        "ui_config": config.ui_config.replace(content_path=_surrounded(config.ui_config.content_path)),
        "retry_join": _joins(config.retry_join, draft, host, "retry_join"),
        "retry_join_wan": _joins(config.retry_join_wan, draft, host, "retry_join_wan"),
        "log_level": "ERROR" if config.log_level == "ERR" else config.log_level,
    }
    if config.bootstrap_expect == 1 and not config.dev_mode:
        changes.update(bootstrap=True, bootstrap_expect=0)
    if config.dev_mode:
        changes.update(bootstrap=True, bootstrap_expect=0, data_dir="")
    changes["server_name"] = config.server_name or changes["node_name"]
    return config.replace(**changes)


def _or(given: Any, otherwise: Any) -> Any:
    return otherwise if given is None else given


def _domain(name: str) -> str:
    return name.rstrip(".").lower() + "." if name.strip(".") else ""


def _surrounded(path: str) -> str:
    """A path of the UI with a slash on both ends."""
    inner = path.strip("/")
    return f"/{inner}/" if inner else "/ui/" if not path else "/"


def _tls(tls: TLS) -> TLS:
    defaults = tls.defaults.replace(
        tls_min_version=_OLD_TLS_NAMES.get(tls.defaults.tls_min_version, tls.defaults.tls_min_version)
    )
    blocks: dict[str, TLSProtocol] = {"internal_rpc": tls.internal_rpc, "https": tls.https, "grpc": tls.grpc}
    changes: dict[str, TLSProtocol] = {"defaults": defaults}
    for name, block in blocks.items():
        taken = {key: _or(getattr(block, key), getattr(defaults, key)) for key in TLSProtocol.options}
        taken["tls_min_version"] = _OLD_TLS_NAMES.get(taken["tls_min_version"], taken["tls_min_version"])
        # Names are only looked at in certificates that are verified, so the one asks for the other (CVE-2018-19653).
        taken["verify_outgoing"] |= getattr(block, "verify_server_hostname", False)
        changes[name] = block.replace(**taken)
    return tls.replace(**changes)


def _joins(given: tuple[str, ...], draft: Draft, host: Host, key: str) -> tuple[str, ...]:
    found: list[str] = []
    for join in given:
        found += _evaluate(join, draft, host, key).split() if "{{" in join else [join]
    return tuple(found)


def _evaluate(template: str, draft: Draft, host: Host, key: str) -> str:
    try:
        return evaluate(template, host.interfaces)
    except ConfigError as error:
        draft.problems.append(f"{draft.where(key)}{key}: {error}")
        return ""


class _Addresses:
    """Evaluates address options and notes what is wrong with them."""

    def __init__(self, draft: Draft, host: Host) -> None:
        self.draft = draft
        self.host = host

    def problem(self, key: str, text: str) -> None:
        self.draft.problems.append(f"{self.draft.where(key)}{text}")

    def several(self, key: str, template: str) -> tuple[str, ...]:
        """Addresses or `unix://` paths of a template, in order, each once."""
        words = _evaluate(template, self.draft, self.host, key).split()
        if template and not words:
            self.problem(key, f"{key}: the template {template!r} finds no address on this host")
        for word in words:
            if not word.startswith("unix://") and not _is_ip(word):
                self.problem(key, f"{key}: invalid ip address: {word}")
        return tuple(dict.fromkeys(word.strip("[]") if not word.startswith("unix:") else word for word in words))

    def one(self, key: str, template: str) -> str:
        """The address of a template that must give just one; "" when it is empty or a problem."""
        found = self.several(key, template) if template else ()
        if len(found) > 1:
            self.problem(key, f"{key} cannot contain multiple addresses; {template!r} gives {' '.join(found)}")
        if found and found[0].startswith("unix://"):
            self.problem(key, f"{key} cannot be a unix socket")
            return ""
        return found[0] if found else ""

    def advertised(self, bind: str) -> str:
        """An address others can reach, for an agent that binds all: a private IPv4 one, or a public IPv6 one."""
        if bind not in ANY_ADDRESSES:
            return bind
        six = bind != "0.0.0.0"
        kind = "public IPv6" if six else "private IPv4"
        found = (public_interfaces if six else private_interfaces)(list(self.host.interfaces()))
        found = [i for i in found if i.ip.version == (6 if six else 4)]
        routed = [i for i in found if i.default_route]
        if len(found) > 1 and len(routed) == 1:
            others = " ".join(i.address for i in found if i is not routed[0])
            self.draft.warnings.append(
                f"advertise_addr: taking {routed[0].address} of {routed[0].name}, which has the default route; "
                f"there are also {others}"
            )
            found = routed
        if len(found) != 1:
            many = f"Multiple {kind} addresses found ({' '.join(i.address for i in found)})"
            self.problem(
                "bind_addr",
                (many if found else f"No {kind} address found") + ". Please configure one with 'bind_addr' and/or "
                "'advertise_addr'.",
            )
            return ""
        return found[0].address


def _is_ip(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


def network(config: Config, draft: Draft, host: Host) -> Network:
    """Where to listen and what to tell; problems are added to `draft`."""
    find = _Addresses(draft, host)
    bind = find.one("bind_addr", config.bind_addr)
    if not bind and not draft.problems:
        find.problem("bind_addr", "bind_addr cannot be empty")
    given = {
        key: find.one(key, getattr(config, key))
        for key in (
            "advertise_addr",
            "advertise_addr_ipv4",
            "advertise_addr_ipv6",
            "advertise_addr_wan",
            "advertise_addr_wan_ipv4",
            "advertise_addr_wan_ipv6",
        )
    }
    for key, address in given.items():
        if address in ANY_ADDRESSES:
            find.problem(key, f"{key} cannot be 0.0.0.0, :: or [::]")
    lan = given["advertise_addr"] or given["advertise_addr_ipv4"] or given["advertise_addr_ipv6"]
    lan = lan or (find.advertised(bind) if bind else "")
    wan = given["advertise_addr_wan"] or given["advertise_addr_wan_ipv4"] or given["advertise_addr_wan_ipv6"] or lan
    clients = find.several("client_addr", config.client_addr)
    places = {}
    for protocol in ("dns", "http", "https", "grpc", "grpc_tls"):
        own = getattr(config.addresses, protocol)
        hosts = find.several(f"addresses.{protocol}", own) if own else clients
        places[protocol] = _listen(hosts, getattr(config.ports, protocol))
    return Network(
        bind_addr=bind,
        advertise_addr=lan,
        advertise_addr_wan=wan,
        tagged_addresses=tuple(_tagged(config, given, lan, wan).items()),
        client_addrs=tuple(client for client in clients if not client.startswith("unix://")),
        serf_lan=Listen(find.one("serf_lan", config.serf_lan) or bind, config.ports.serf_lan),
        serf_wan=_wan(config, find.one("serf_wan", config.serf_wan) or bind),
        server=Listen(bind, config.ports.server) if config.server else None,
        **places,
    )


def _wan(config: Config, host: str) -> Listen | None:
    return Listen(host, config.ports.serf_wan) if config.server and config.ports.serf_wan > 0 else None


def _listen(hosts: tuple[str, ...], port: int) -> tuple[Listen, ...]:
    sockets = tuple(Listen(path=host.removeprefix("unix://")) for host in hosts if host.startswith("unix://"))
    if port <= 0:
        return ()
    return tuple(Listen(host, port) for host in hosts if not host.startswith("unix://")) + sockets


def _tagged(config: Config, given: dict[str, str], lan: str, wan: str) -> dict[str, str]:
    tagged = {"lan": lan, "wan": wan}
    for side, address in (("lan", lan), ("wan", wan)):
        own = "advertise_addr" if side == "lan" else "advertise_addr_wan"
        for family, mark in (("ipv4", "."), ("ipv6", ":")):
            tagged[f"{side}_{family}"] = given[f"{own}_{family}"] or (address if mark in address else "")
    return {name: address for name, address in {**tagged, **config.tagged_addresses}.items() if address}
