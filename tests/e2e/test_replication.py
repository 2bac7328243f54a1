"""A secondary datacenter copies policies, roles, tokens and config entries from the primary (surface rows AC4, L30)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from meshtest.process import AgentProcess, free_ports

MANAGER = "deadbeef-0000-4000-8000-00000000a11c"


class Pair:
    """`dc1` is the primary of `dc2`."""

    def __init__(self, near: AgentProcess, far: AgentProcess) -> None:
        self.near, self.far = near, far

    def ask(self, agent: AgentProcess, method: str, path: str, value: Any = None, *, token: str = MANAGER) -> Any:
        answer = agent.http(method, path, json=value, headers={"X-Consul-Token": token})
        return json.loads(answer.body) if answer.status == 200 and answer.body[:1] in b"[{t" else answer

    def wait(self, what: str, condition: Any) -> None:
        self.far.wait(what, condition, within_s=90)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(self.far, "GET", "/v1/acl/replication")
        return found


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    acl = {"enabled": True, "default_policy": "deny", "enable_token_replication": True}
    tokens = {"agent": MANAGER, "replication": MANAGER}
    near = AgentProcess.server(
        {"node_name": "near", "acl": {**acl, "tokens": {"initial_management": MANAGER, "agent": MANAGER}}}
    )
    far = AgentProcess.server(
        {
            "node_name": "far",
            "datacenter": "dc2",
            "primary_datacenter": "dc1",
            "acl": {**acl, "tokens": tokens},
            "ports": {**(ports := free_ports()), "sidecar_min_port": 21_800, "sidecar_max_port": 21_899},
            "retry_join_wan": [f"127.0.0.1:{near.ports['serf_wan']}"],
            "retry_interval_wan": "1s",
        },
        ports=ports,
    )
    with near, far:
        found = Pair(near, far)
        known = {"X-Consul-Token": MANAGER}
        found.wait("the first token", lambda: near.http("GET", "/v1/acl/token/self", headers=known).status == 200)
        found.wait("its copy", lambda: far.http("GET", "/v1/acl/token/self", headers=known).status == 200)
        yield found


def test_policies_roles_and_tokens_are_copied(pair: Pair) -> None:
    rules = 'key_prefix "" { policy = "write" }'
    policy = pair.ask(pair.near, "PUT", "/v1/acl/policy", {"Name": "keys", "Rules": rules})
    pair.ask(pair.near, "PUT", "/v1/acl/role", {"Name": "ops", "Policies": [{"ID": policy["ID"]}]})
    made = pair.ask(pair.near, "PUT", "/v1/acl/token", {"Description": "copied", "Roles": [{"Name": "ops"}]})
    local = pair.ask(pair.near, "PUT", "/v1/acl/token", {"Roles": [{"Name": "ops"}], "Local": True})
    write = {"X-Consul-Token": made["SecretID"]}
    pair.wait("it writes there", lambda: pair.far.http("PUT", "/v1/kv/a", body=b"1", headers=write).status == 200)
    pair.wait("the role", lambda: pair.ask(pair.far, "GET", "/v1/acl/role/name/ops")["Policies"][0]["Name"] == "keys")
    accessors = {row["AccessorID"] for row in pair.ask(pair.far, "GET", "/v1/acl/tokens")}
    assert made["AccessorID"] in accessors
    assert local["AccessorID"] not in accessors

    pair.ask(pair.near, "DELETE", f"/v1/acl/token/{made['AccessorID']}")
    pair.wait("it is gone", lambda: pair.far.http("PUT", "/v1/kv/a", body=b"1", headers=write).status == 403)
    state = pair.status()
    assert (state["Enabled"], state["Running"], state["SourceDatacenter"]) == (True, True, "dc1")
    assert state["ReplicationType"] == "tokens"
    assert min(state["ReplicatedIndex"], state["ReplicatedRoleIndex"], state["ReplicatedTokenIndex"]) > 1
    assert state["LastSuccess"] > "2020"
    assert pair.ask(pair.near, "GET", "/v1/acl/replication")["Enabled"] is False


def test_what_is_written_in_the_secondary_is_the_primarys(pair: Pair) -> None:
    made = pair.ask(pair.far, "PUT", "/v1/acl/policy?dc=dc2", {"Name": "over-there", "Rules": ""})
    assert pair.ask(pair.near, "GET", f"/v1/acl/policy/{made['ID']}")["Name"] == "over-there"
    found = lambda: pair.ask(pair.far, "GET", f"/v1/acl/policy/{made['ID']}")  # noqa: E731
    pair.wait("its copy", lambda: isinstance(found(), dict) and found()["Name"] == "over-there")
    own = pair.ask(pair.far, "PUT", "/v1/acl/token", {"Description": "own", "Local": True})
    assert own["Local"] is True
    assert (
        pair.near.http("GET", f"/v1/acl/token/{own['AccessorID']}", headers={"X-Consul-Token": MANAGER}).status == 403
    )
    entry = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
    assert pair.ask(pair.far, "PUT", "/v1/config", entry) is True
    assert pair.ask(pair.near, "GET", "/v1/config/service-defaults/web")["Protocol"] == "http"

    def protocol() -> str:
        found = pair.ask(pair.far, "GET", "/v1/config/service-defaults/web")
        return str(found["Protocol"]) if isinstance(found, dict) else ""

    pair.wait("the entry's copy", lambda: protocol() == "http")
    assert (
        pair.ask(pair.far, "PUT", "/v1/connect/intentions/exact?source=a&destination=web", {"Action": "deny"}) is True
    )
    path = "/v1/connect/intentions/check?source=a&destination=web"
    pair.wait("the intention's copy", lambda: pair.ask(pair.far, "GET", path) == {"Allowed": False})
    assert {row["AccessorID"] for row in pair.ask(pair.far, "GET", "/v1/acl/tokens")} >= {own["AccessorID"]}


def test_without_copies_the_primary_is_asked_for_tokens() -> None:
    """L28, L30: a token of the primary counts in the secondary while it exists; a local one does not."""
    acl = {"enabled": True, "default_policy": "deny", "token_ttl": "1s", "policy_ttl": "1s", "role_ttl": "1s"}
    near = AgentProcess.server(
        {"node_name": "near", "acl": {**acl, "tokens": {"initial_management": MANAGER, "agent": MANAGER}}}
    )
    far = AgentProcess.server(
        {
            "node_name": "far",
            "datacenter": "dc2",
            "primary_datacenter": "dc1",
            "acl": {**acl, "tokens": {"replication": MANAGER, "agent": MANAGER}},
            "ports": {**(ports := free_ports()), "sidecar_min_port": 21_700, "sidecar_max_port": 21_799},
            "retry_join_wan": [f"127.0.0.1:{near.ports['serf_wan']}"],
            "retry_interval_wan": "1s",
        },
        ports=ports,
    )
    with near, far:
        pair = Pair(near, far)
        known = {"X-Consul-Token": MANAGER}
        pair.wait("the first token", lambda: near.http("GET", "/v1/acl/token/self", headers=known).status == 200)
        pair.wait("the primary", lambda: far.http("GET", "/v1/kv/a", headers=known).status == 404)
        rules = 'key_prefix "" { policy = "write" }'
        policy = pair.ask(near, "PUT", "/v1/acl/policy", {"Name": "keys", "Rules": rules})
        bodies = ({"Policies": [{"ID": policy["ID"]}]}, {"Policies": [{"ID": policy["ID"]}], "Local": True})
        made, local = (pair.ask(near, "PUT", "/v1/acl/token", body) for body in bodies)
        headers = {"X-Consul-Token": made["SecretID"]}
        pair.wait("it writes there", lambda: far.http("PUT", "/v1/kv/a", body=b"1", headers=headers).status == 200)
        assert (
            json.loads(far.http("GET", "/v1/acl/token/self", headers=headers).body)["AccessorID"] == made["AccessorID"]
        )
        refused = far.http("PUT", "/v1/kv/a", body=b"1", headers={"X-Consul-Token": local["SecretID"]})
        assert (refused.status, refused.body) == (403, b"ACL not found")
        assert far.http("GET", "/v1/kv/a", headers={"X-Consul-Token": "made-up"}).status == 403
        assert pair.ask(near, "DELETE", f"/v1/acl/token/{made['AccessorID']}") is True
        pair.wait("its end", lambda: far.http("PUT", "/v1/kv/a", body=b"1", headers=headers).status == 403)
