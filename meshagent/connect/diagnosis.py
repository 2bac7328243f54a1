"""Why a call through a sidecar does or does not work: findings from what was seen. Pure.

Source: surface row CL24; developer.hashicorp.com/consul/commands/troubleshoot. What may change here: further findings;
each says what holds, or what does not and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

__all__ = ["Facts", "Finding", "diagnose", "find_upstream", "upstream_names"]

#: A leaf that ends this soon should have been renewed.
_SOON = timedelta(hours=1)


class Finding(msgspec.Struct, frozen=True):
    """`action` says what to do where something is wrong."""

    good: bool
    text: str
    action: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen. `snapshot` is that of the proxy as JSON, `upstream` one of its `outbound`; `edges` what the
    sidecar counts, None when none answers; `listener` why nobody can connect to it ("" when one can, None where there
    is no listener to try); `reached` the same by `address:port` of an instance; `decision` what intentions say as
    (allowed, reason), None when the token may not ask; `root_ends` when each root ends.
    """

    snapshot: dict[str, Any]
    upstream: dict[str, Any]
    now: datetime
    edges: list[dict[str, Any]] | None
    listener: str | None
    reached: dict[str, str]
    decision: tuple[bool, str] | None
    root_ends: list[datetime]


def upstream_names(snapshot: dict[str, Any]) -> tuple[list[str], list[tuple[list[str], str]]]:
    """The upstreams with a listener, by name; those that transparent mode reaches, as (virtual addresses, name)."""
    explicit = [one["name"] for one in snapshot["outbound"] if one["port"] or one["socket_path"]]
    virtual = [(one["virtual_ips"], one["name"]) for one in snapshot["outbound"] if one.get("virtual_ips")]
    return explicit, virtual


def find_upstream(snapshot: dict[str, Any], name: str, address: str) -> dict[str, Any] | None:
    """The upstream of a name, or of an address: a virtual one, that of its listener, or of one of its instances."""
    outbound: list[dict[str, Any]] = snapshot["outbound"]
    for one in outbound:
        if name and one["name"] == name:
            return one
        if address and address in one.get("virtual_ips", ()):
            return one
    for one in outbound if address else ():
        if one["address"] == address or any(where["address"] == address for where in _instances(snapshot, one)):
            return one
    return None


def diagnose(facts: Facts) -> list[Finding]:
    """All findings, in the order of a call's way."""
    return [*_certificates(facts), *_sidecar(facts), *_route(facts), *_instances_found(facts), *_intentions(facts)]


def _certificates(facts: Facts) -> Iterator[Finding]:
    started, ends = facts.snapshot["leaf_valid"]
    if not ends:
        yield Finding(False, "There is no leaf certificate yet", "look for errors of signing in the log of the agent")
        return
    if datetime.fromisoformat(started) > facts.now:
        yield Finding(
            False, f"The leaf certificate begins only at {started}", "compare the clocks of this host and the servers"
        )
    elif datetime.fromisoformat(ends) <= facts.now:
        yield Finding(False, f"The leaf certificate ended at {ends}", "see why the agent cannot renew it: its log says")
    elif datetime.fromisoformat(ends) - facts.now < _SOON:
        yield Finding(False, f"The leaf certificate ends at {ends}", "it should have been renewed: see the agent's log")
    elif not facts.root_ends or max(facts.root_ends) <= facts.now:
        yield Finding(False, "No root certificate is valid", "rotate the authority: `connect ca set-config`")
    else:
        yield Finding(True, f"Certificates are valid, the leaf until {ends}")


def _sidecar(facts: Facts) -> Iterator[Finding]:
    name = facts.upstream["name"]
    if facts.edges is None:
        yield Finding(
            False, "No sidecar of this user answers on this host",
            f"start it: `connect proxy -sidecar-for {facts.snapshot['service']}`; or ask as its user",
        )  # fmt: skip
    else:
        denied = sum(int(edge["denied"]) for edge in facts.edges)
        yield Finding(True, f"The sidecar answers; it has denied {denied} connection(s)")
    where = facts.upstream["socket_path"] or f"{facts.upstream['address']}:{facts.upstream['port']}"
    if facts.listener is None:
        addresses = ", ".join(facts.upstream.get("virtual_ips", ()))
        yield Finding(True, f'Upstream "{name}" is reached at {addresses} in transparent mode')
    elif facts.listener:
        yield Finding(
            False, f'Listener for upstream "{name}" at {where}: {facts.listener}',
            "see in the log of the sidecar whether another process has the port",
        )  # fmt: skip
    else:
        yield Finding(True, f'Listener for upstream "{name}" found at {where}')


def _route(facts: Facts) -> Iterator[Finding]:
    name, chain = facts.upstream["name"], facts.upstream["chain"]
    if chain is None:
        yield Finding(
            False, f'Upstream "{name}" has no route: {facts.upstream["problem"]}', "mend the config entry or the token"
        )
    else:
        yield Finding(True, f'Route for upstream "{name}" found ({chain["protocol"]}, {chain["start"]})')


def _instances_found(facts: Facts) -> Iterator[Finding]:
    chain = facts.upstream["chain"]
    for target in sorted(chain["targets"]) if chain is not None else ():
        cluster = facts.snapshot["clusters"].get(target)
        if cluster is None or not cluster["endpoints"]:
            service = chain["targets"][target]["service"]
            yield Finding(
                False, f'No healthy instance of "{target}"',
                f"is {service} registered with a sidecar that passes its checks? `health {service}`",
            )  # fmt: skip
            continue
        places = [f"{one['address']}:{one['port']}" for one in cluster["endpoints"]]
        yield Finding(True, f'{len(places)} healthy instance(s) of "{target}"')
        for place in places:
            problem = facts.reached.get(place)
            if problem:
                yield Finding(
                    False, f"Instance {place}: {problem}", "is its sidecar running, and does a firewall let us through?"
                )


def _intentions(facts: Facts) -> Iterator[Finding]:
    source, name = facts.snapshot["service"], facts.upstream["name"]
    if facts.decision is None:
        yield Finding(True, f"Whether {source} may talk to {name} was not asked: the token may not read intentions")
        return
    allowed, reason = facts.decision
    if allowed:
        yield Finding(True, f"Intentions allow {source} to talk to {name}" + (f" ({reason})" if reason else ""))
    else:
        yield Finding(
            False, f"Intentions do not allow {source} to talk to {name}" + (f" ({reason})" if reason else ""),
            f"`intention create -allow {source} {name}`; `intention explain {source} {name}` says which rule decides",
        )  # fmt: skip


def _instances(snapshot: dict[str, Any], upstream: dict[str, Any]) -> list[dict[str, Any]]:
    chain = upstream["chain"]
    targets = chain["targets"] if chain is not None else ()
    clusters = (snapshot["clusters"].get(target) for target in targets)
    return [one for cluster in clusters if cluster is not None for one in cluster["endpoints"]]
