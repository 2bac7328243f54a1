"""What an Envoy measures and where it tells it: the tags of its metrics, and its sinks. Parts of the bootstrap.

A tag's expression has two groups: what the outer one matches leaves the metric's name, what the inner one matches is
the tag's value. Metrics of a cluster are named by its SNI, those of a listener by its upstream:

    cluster.<hash>~<subset>.<service>.<namespace>.<partition>.<datacenter>.internal.<trust domain>.<...>
    http.upstream.<service>.<namespace>.<partition>.<datacenter>.<...>

Source: surface rows X2, M73 (`envoy_stats_tags`, `envoy_statsd_url`, `envoy_dogstatsd_url`), the recorded bootstraps.
What may change here: further sinks; names of tags are what dashboards look for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from meshagent.connect.envoy.resources import typed
from meshagent.errors import BadRequest

__all__ = ["sink", "tags"]

_ANY, _CLUSTER, _PASSED = r"[^.]+", r"^cluster\.", r"(?:passthrough~)?"
#: The pieces of a cluster's name in order: name -> (its expression, what follows it).
_PIECES = {
    "custom_hash": (r"(?:{}~)?", ""),
    "service_subset": (r"(?:{}\.)?", ""),
    "service": ("{}", r"\."),
    "namespace": ("{}", r"\."),
    "partition": (r"(?:{}\.)?", ""),
    "datacenter": ("{}", r"\."),
    "routing_type": ("{}", r"\."),
    "trust_domain": ("{}", r"\.consul\."),
}
#: Where only names inside of this cluster's mesh are meant.
_INTERNAL = _PIECES | {"routing_type": (r"internal[^.]*", r"\.")}
#: Values of more than one piece: from the first to this one.
_SPANS = {"target": "datacenter", "full_target": "trust_domain"}
_UPSTREAM = r"^(?:tcp|http)\.upstream"
_UPSTREAMS = {
    "service": _UPSTREAM + r"(?:_peered)?\.(({0})(?:\.{0})?(?:\.{0})?\.{0}\.)",
    "datacenter": _UPSTREAM + r"\.({0}(?:\.{0})?(?:\.{0})?\.({0})\.)",
    "peer": _UPSTREAM + r"_peered\.({0}(?:\.{0})?\.({0})\.)",
    "namespace": _UPSTREAM + r"(?:_peered)?\.({0}(?:\.({0}))?(?:\.{0})?\.{0}\.)",
    "partition": _UPSTREAM + r"\.({0}(?:\.{0})?(?:\.({0}))?\.{0}\.)",
}
_DESTINATION = (
    "custom_hash", "service_subset", "service", "namespace", "partition", "datacenter", "peer", "routing_type",
    "trust_domain", "target", "full_target",
)  # fmt: skip
#: Names from before Consul 1.9 that dashboards still read.
_DEPRECATED = (
    "custom_hash", "service_subset", "service", "namespace", "datacenter", "routing_type", "trust_domain", "target",
    "full_target",
)  # fmt: skip
_SINKS = {
    "envoy_statsd_url": ("envoy.stat_sinks.statsd", "envoy.config.metrics.v3.StatsdSink"),
    "envoy_dogstatsd_url": ("envoy.stat_sinks.dog_statsd", "envoy.config.metrics.v3.DogStatsdSink"),
}
#: The one variable that an address may have inside.
_HOST_IP = "HOST_IP"


def tags(own: Sequence[str], fixed: Sequence[tuple[str, str]], *, omit_deprecated: bool) -> list[dict[str, str]]:
    """All tags, in Consul's order: `own` ones ("team=blue"; a bare name has the value 1), expressions, `fixed` ones.

    `fixed` are (name, value); one without a value, or whose name is among `own`, is left out.
    """
    given = {}
    for text in own:
        name, equals, value = text.partition("=")
        given[name.lower()] = value if equals else "1"
    found = [{"tag_name": name, "fixed_value": value} for name, value in given.items()]
    found += [_expression(f"consul.destination.{name}", _of_cluster(name, _PASSED)) for name in _DESTINATION]
    found += [_expression(f"consul.upstream.{name}", text.format(_ANY)) for name, text in _UPSTREAMS.items()]
    if not omit_deprecated:
        found += [_expression(f"consul.{name}", _of_cluster(name, "")) for name in _DEPRECATED]
    found += [{"tag_name": name, "fixed_value": value} for name, value in fixed if value and name not in given]
    return found


def sink(key: str, address: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The sink of `envoy_statsd_url` or `envoy_dogstatsd_url`.

    `$NAME` stands for the whole address in an environment variable, `${HOST_IP}` for a part of it.

    Raises:
        BadRequest: no address that Envoy could send to.
    """
    name, message = _SINKS[key]
    if len(address) > 2 and address[0] == "$" and address[1] != "{":
        address = environment.get(address[1:], "")
    else:
        for spelled in ("${HOST_IP}", "$HOST_IP"):
            address = address.replace(spelled, environment.get(_HOST_IP, ""))
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadRequest(f'failed to parse {name} sink address "{address}"') from None
    if parts.scheme == "udp":
        if not port or not _is_ip(host):
            raise BadRequest(f'{key}: "{address}" is not udp://ip:port')
        place: dict[str, Any] = {"socket_address": {"address": host, "port_value": port}}
    elif parts.scheme == "unix":
        place = {"pipe": {"path": parts.path}}
    else:
        raise BadRequest(f'unsupported address protocol "{parts.scheme}" for {name} sink')
    return {"name": name, "typedConfig": typed(message, {"address": place})}


# --- inside ---------------------------------------------------------------------------------------------------------


def _is_ip(host: str) -> bool:
    """Envoy looks up no names here."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _expression(name: str, regex: str) -> dict[str, str]:
    return {"tag_name": name, "regex": regex}


def _of_cluster(wanted: str, passed: str) -> str:
    if wanted == "peer":
        return rf"{_CLUSTER}({_ANY}\.(?:{_ANY}\.)?({_ANY})\.external\.{_ANY}\.consul\.)"
    pieces = _INTERNAL if wanted in ("partition", "datacenter") else _PIECES
    last = _SPANS.get(wanted)
    text = "(" if last else ""
    for name, (value, after) in pieces.items():
        text += value.format(f"({_ANY})" if name == wanted else _ANY) + (")" if name == last else "") + after
    return f"{_CLUSTER}{passed}({text})"
