"""Names of resources: clusters, listeners and statistics, as dashboards and Envoy's stats tags know them.

Source: surface rows X5, X8-X12, M44; the recorded resources. What may change here: nothing that dashboards read.
"""

from __future__ import annotations

import re

from meshagent.connect.chain import Chain
from meshagent.connect.exposing import Exposed
from meshagent.connect.snapshot import Outbound

__all__ = [
    "LOCAL_APP",
    "ORIGINAL_DESTINATION",
    "at",
    "cluster",
    "customized",
    "exposed_cluster",
    "exposed_filter",
    "exposed_listener",
    "failover",
    "listener",
    "passthrough",
    "stat",
    "upstream",
]

#: The cluster of the application behind a sidecar.
LOCAL_APP = "local_app"
#: The cluster of what is dialled by its own address.
ORIGINAL_DESTINATION = "original-destination"
_QUERY = "prepared_query"


def upstream(outbound: Outbound) -> str:
    """How an upstream is told from others: `api`, `api?dc=dc2`, `api?peer=east`, `prepared_query:geo`."""
    if outbound.destination_type == _QUERY:
        return f"{_QUERY}:{outbound.name}{_asked(outbound.datacenter)}"
    if outbound.peer:
        return f"{outbound.name}?peer={outbound.peer}"
    return outbound.name + _asked(outbound.datacenter)


def _asked(datacenter: str) -> str:
    return f"?dc={datacenter}" if datacenter else ""


def listener(outbound: Outbound) -> str:
    """The listener of an upstream: `api:127.0.0.1:9191`, `api:/run/api.sock`."""
    place = outbound.socket_path or at(outbound.address, outbound.port)
    return f"{upstream(outbound)}:{place}"


def at(address: str, port: int) -> str:
    """An address with its port."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def stat(outbound: Outbound, datacenter: str) -> str:
    """What statistics of an upstream's listener begin with; `datacenter` is the proxy's own."""
    if outbound.destination_type == _QUERY:
        return f"upstream.{_QUERY}_{outbound.name}"
    if outbound.peer:
        return f"upstream_peered.{outbound.name}.default.{outbound.peer}"
    return f"upstream.{outbound.name}.default.default.{outbound.datacenter or datacenter}"


def cluster(chain: Chain, target: str) -> str:
    """The cluster of a target, by the target's id."""
    found = chain.targets[target]
    if found.peer:
        return customized(chain, f"{found.service}.default.{found.peer}.external.{chain.trust_domain}")
    return customized(chain, found.name)


def customized(chain: Chain, name: str) -> str:
    """A name that is not shared by proxies that want something else of the same chain."""
    return f"{chain.customization}~{name}" if chain.customization else name


def failover(position: int, name: str) -> str:
    """One of the clusters that stand behind `name`, in order from 0."""
    return f"failover-target~{position}~{name}"


def passthrough(name: str) -> str:
    """The cluster of instances that are dialled at their own addresses."""
    return f"passthrough~{name}"


def _letters(exposed: Exposed) -> str:
    return re.sub(r"[^a-zA-Z0-9]", "", exposed.path)


def exposed_listener(exposed: Exposed) -> str:
    """The listener of a path without mutual TLS."""
    return f"exposed_path_{_letters(exposed)}:{at(exposed.address, exposed.port)}"


def exposed_filter(exposed: Exposed) -> str:
    """What its statistics begin with."""
    return f"exposed_path_filter_{_letters(exposed)}_{exposed.port}"


def exposed_cluster(exposed: Exposed) -> str:
    """The cluster of an exposed port that is not the application's own."""
    return f"exposed_cluster_{exposed.local_port}"
