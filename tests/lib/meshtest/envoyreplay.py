"""The recorded resources of real Envoys: an agent is given the same inputs, and its rendering is compared with them.

Resources are compared as protobuf messages, after what cannot be equal (certificates, the trust domain, folders) is
replaced as it was in the recording, and after what does not count for an Envoy (the order of instances and of filter
chains, defaults that it fills in) is brought into one form. Source: tests/data/golden/mesh/README.md.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from meshagent.connect.envoy import wire
from meshagent.connect.envoy.render import render
from meshagent.connect.envoy.resources import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resources
from meshagent.connect.snapshot import ProxySnapshot
from meshtest.certificates import make_ca, make_leaf
from meshtest.inprocess import InProcess, server_config

FOLDER = Path(__file__).parents[2] / "data" / "golden" / "mesh" / "xds"
TYPES = {"listeners": LISTENER, "routes": ROUTES, "clusters": CLUSTER, "endpoints": ENDPOINTS}
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----\n?", re.DOTALL)
_MISSING = "nothing"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One scenario."""

    name: str
    about: str
    inputs: list[dict[str, Any]]
    config: dict[str, Any]
    proxies: dict[str, dict[str, Any]]

    @classmethod
    def load(cls, path: Path) -> Recorded:
        raw = json.loads(path.read_text())
        config = dict(raw.get("agent") or {})
        if raw.get("default_intention_policy"):
            config["default_intention_policy"] = raw["default_intention_policy"]
        return cls(path.stem, raw["about"], raw["inputs"], config, raw["proxies"])


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where ours is another than what was recorded."""

    proxy: str
    resource: str
    path: str
    golden: Any
    ours: Any

    def __str__(self) -> str:
        texts = [json.dumps(one)[:400] for one in (self.golden, self.ours)]
        return (
            f"{self.proxy} {self.resource} at {self.path or 'its top'}:\n    golden {texts[0]}\n    ours   {texts[1]}"
        )


def scenarios() -> list[Recorded]:
    """All of them, by name."""
    return [Recorded.load(path) for path in sorted(FOLDER.glob("*.json"))]


def concrete(body: Any, folder: Path) -> Any:
    """A body to be sent: a real certificate where one was, a folder of ours."""
    text = json.dumps(body).replace("<dir>", str(folder))
    if '"<pem>' in text:
        certificate, key = make_leaf(make_ca(), "gw.example.com")
        body = json.loads(text)
        body["Certificate"], body["PrivateKey"] = certificate.decode(), key.decode()
        return body
    return json.loads(text)


async def snapshots(recorded: Recorded, folder: Path) -> dict[str, ProxySnapshot]:
    """What the proxies of a scenario are told by an agent that was given its inputs."""
    config = server_config(node_name="golden")
    ports = recorded.config.get("ports")
    if ports:
        config = config.replace(ports=config.ports.replace(**ports))
    policy = recorded.config.get("default_intention_policy")
    if policy:
        config = config.replace(default_intention_policy=policy)
    agent = InProcess(config=config)
    await agent.start()
    try:
        assert agent.mesh.authority is not None
        await agent.mesh.authority.initialise()
        agent.mesh.start()
        for one in recorded.inputs:
            body = concrete(one.get("body"), folder)
            answer = await agent.ask(one["method"], one["path"], body)
            assert answer.status == 200, f"{one['path']}: {answer.text}"
            await agent.settle()
        waiting = {proxy: asyncio.ensure_future(agent.mesh.proxies.get(proxy)) for proxy in recorded.proxies}
        while not all(one.done() for one in waiting.values()):
            await agent.clock.advance(0.1)  # certificates are signed at a bounded rate
        return {proxy: one.result()[0] for proxy, one in waiting.items()}
    finally:
        await agent.stop()


def differences(recorded: Recorded, found: dict[str, ProxySnapshot], folder: Path) -> list[Difference]:
    """Where the rendering of these snapshots is another than what was recorded."""
    differing: list[Difference] = []
    for proxy, golden in recorded.proxies.items():
        ours = _ours(render(_without_itself(found[proxy])), found[proxy], folder)
        theirs = _theirs(golden)
        for kind in TYPES:
            for name in sorted(theirs[kind].keys() | ours[kind].keys()):
                pair = theirs[kind].get(name, _MISSING), ours[kind].get(name, _MISSING)
                differing += _compare(proxy, f"{kind}/{name}", "", *pair)
    return differing


def held_differences(
    recorded: Recorded, held: dict[str, dict[str, dict[str, Any]]], trust_domain: str, folder: Path
) -> list[Difference]:
    """Where what real Envoys hold ({proxy: {kind: {name: resource}}}) is another than what was recorded."""
    differing: list[Difference] = []
    domain = trust_domain.removesuffix(".consul")
    for proxy, golden in recorded.proxies.items():
        text = json.dumps(_hidden(held[proxy])).replace(domain, "<td>").replace(str(folder), "<dir>")
        ours, theirs = _theirs(json.loads(text)), _theirs(golden)
        for kind in TYPES:
            for name in sorted(theirs[kind].keys() | ours[kind].keys()):
                pair = theirs[kind].get(name, _MISSING), ours[kind].get(name, _MISSING)
                differing += _compare(proxy, f"{kind}/{name}", "", *pair)
    return differing


def _without_itself(snapshot: ProxySnapshot) -> ProxySnapshot:
    """With us a service may dial itself by its virtual address (tests/connect/envoy/test_transparent.py)."""
    others = tuple(one for one in snapshot.outbound if one.name != snapshot.service or one.listens)
    return msgspec.structs.replace(snapshot, outbound=others)


def _ours(resources: Resources, snapshot: ProxySnapshot, folder: Path) -> dict[str, dict[str, Any]]:
    domain = snapshot.trust_domain.removesuffix(".consul")
    made: dict[str, dict[str, Any]] = {}
    for kind, url in TYPES.items():
        made[kind] = {}
        for name, resource in getattr(resources, kind).items():
            decoded = wire.decode(wire.encode(resource, url), url)
            text = json.dumps(_hidden(decoded)).replace(domain, "<td>").replace(str(folder), "<dir>")
            made[kind][name.replace(domain, "<td>").replace(str(folder), "<dir>")] = _one_form(json.loads(text))
    return made


def _theirs(golden: dict[str, Any]) -> dict[str, dict[str, Any]]:
    made: dict[str, dict[str, Any]] = {}
    for kind, url in TYPES.items():
        made[kind] = {
            name: _one_form(wire.decode(wire.encode(resource), url)) for name, resource in golden[kind].items()
        }
    # An Envoy shows instances of clusters that have them in line, too.
    told = {name for name, cluster in made["clusters"].items() if cluster.get("type") == "EDS"}
    made["endpoints"] = {name: one for name, one in made["endpoints"].items() if name in told}
    return made


def _hidden(value: Any) -> Any:
    """Certificates and keys as the recording shows them."""
    if isinstance(value, dict):
        return {
            key: {"inline_string": "[redacted]"} if key == "private_key" else _hidden(one) for key, one in value.items()
        }
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    return _PEM.sub("<pem>", value) if isinstance(value, str) else value


#: What an Envoy fills in.
_FILLED: tuple[tuple[str, Any], ...] = (
    ("health_check_config", {}),
    ("locality", {}),
    ("policy", {"overprovisioning_factor": 140}),
    ("health_status", "HEALTHY"),
)
#: Lists whose order is of no meaning.
_SETS = ("lb_endpoints", "filter_chains", "source_prefix_ranges", "prefix_ranges", "principals", "ids")


def _one_form(value: Any) -> Any:
    if isinstance(value, list):
        return [_one_form(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: _one_form(one) for key, one in value.items() if (key, one) not in _FILLED}
    if "lb_endpoints" in made and made.get("load_balancing_weight") == 0:
        del made["load_balancing_weight"]
    if "address_prefix" in made:
        network = ipaddress.ip_network(f"{made['address_prefix']}/{made.get('prefix_len', 0)}", strict=False)
        made["address_prefix"] = str(network.network_address)
    for key in _SETS:
        if key in made:
            made[key] = sorted(made[key], key=lambda one: json.dumps(one, sort_keys=True))
    return made


def _compare(proxy: str, resource: str, path: str, golden: Any, ours: Any) -> list[Difference]:
    if isinstance(golden, dict) and isinstance(ours, dict):
        found: list[Difference] = []
        for key in sorted(golden.keys() | ours.keys()):
            inner = golden.get(key, _MISSING), ours.get(key, _MISSING)
            found += _compare(proxy, resource, f"{path}.{key}".lstrip("."), *inner)
        return found
    if isinstance(golden, list) and isinstance(ours, list) and len(golden) == len(ours):
        pairs = enumerate(zip(golden, ours, strict=True))
        return [one for at, (a, b) in pairs for one in _compare(proxy, resource, f"{path}[{at}]", a, b)]
    return [] if golden == ours else [Difference(proxy, resource, path, golden, ours)]


@dataclass(frozen=True, slots=True)
class Deviation:
    """Where ours is another on purpose: `path` is a regular expression over `<proxy> <resource> <path>`."""

    scenario: str
    path: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        """Whether it speaks of this place."""
        place = f"{difference.proxy} {difference.resource} {difference.path}"
        return re.search(self.path, place) is not None


def deviations(path: Path) -> list[Deviation]:
    """The table of those."""
    return [Deviation(**row) for row in tomllib.loads(path.read_text()).get("deviation", [])]
