"""I/O edge: every public method of python-consul2, called once at least: `python client_methods.py HOST PORT TOKEN`.

The methods are found by looking at a client, so one that is not called below fails the run. Runs in a process of its
own, as `client_lifecycle.py` does. Prints how many calls of how many methods were made.
"""

from __future__ import annotations

import inspect
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import consul

calls: Counter[str] = Counter()


def public(client: Any) -> dict[str, Any]:
    """Every public method by its path from the client."""
    found: dict[str, Any] = {}
    queue = [("", client)]
    seen: set[type] = set()
    while queue:
        path, one = queue.pop()
        for name in sorted(dir(one)):
            if name.startswith("_") or name == "http" or (name == "agent" and path):
                continue
            part = getattr(one, name)
            where = f"{path}.{name}".lstrip(".")
            if inspect.ismethod(part):
                found[where] = part
            elif type(part).__module__.startswith("consul") and type(part) not in seen:
                seen.add(type(part))
                queue.append((where, part))
    return found


class Caller:
    def __init__(self, client: Any) -> None:
        self.methods = public(client)

    def __call__(self, path: str, *args: Any, **kwargs: Any) -> Any:
        calls[path] += 1
        return self.methods[path](*args, **kwargs)

    def refused(self, path: str, *args: Any, **kwargs: Any) -> str:
        """Why it is refused: it must be."""
        try:
            found = self(path, *args, **kwargs)
        except (consul.ConsulException, consul.base.NotFound) as error:
            return str(error)
        raise AssertionError(f"{path} is not refused: {found!r}")


def until(condition: Any, within_s: float = 60.0) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)
    return found


def agent(call: Caller) -> None:
    own = call("agent.self")["Member"]
    assert call("agent.members")[0]["Name"] == own["Name"]
    assert call("agent.join", f"{own['Addr']}:{own['Port']}")
    call.refused("agent.force_leave", "nobody")
    assert call("agent.service.register", "web", service_id="web1", port=80, check=consul.Check.ttl("1h"))
    assert call("agent.services")["web1"]["Port"] == 80
    assert call("agent.service.maintenance", "web1", True, "oil")
    assert call("agent.service.maintenance", "web1", False)
    assert call("agent.maintenance", True, "all")
    assert call("agent.maintenance", False)
    assert call("agent.check.register", "c", check=consul.Check.ttl("1h"), check_id="c")
    for word in ("ttl_pass", "ttl_warn", "ttl_fail"):
        assert call(f"agent.check.{word}", "c", notes=word)
    assert call("agent.checks")["c"]["Status"] == "critical"
    assert call("agent.check.deregister", "c")
    assert call("agent.check.ttl_pass", "service:web1")
    roots = until(lambda: call("agent.connect.root_certificates").get("Roots") and call("connect.certificates.list"))
    call("agent.connect.leaf_certificates", "web")  # the library leaves out /v1: it finds nothing, at Consul's too
    uri = f"spiffe://{roots['TrustDomain']}/ns/default/dc/dc1/svc/a"
    assert isinstance(call("agent.connect.authorize", "web", uri, "1")["Authorized"], bool)


def catalog(call: Caller) -> None:
    until(lambda: call("health.service", "web", passing=True)[1])
    assert call("catalog.register", "far", "10.0.0.9", service={"Service": "db", "Port": 1})
    assert call("catalog.datacenters") == ["dc1"]
    assert "far" in [row["Node"] for row in call("catalog.nodes")[1]]
    assert "db" in call("catalog.services")[1]
    assert call("catalog.service", "db")[1][0]["Node"] == "far"
    assert call("catalog.node", "far")[1]["Node"]["Address"] == "10.0.0.9"
    assert call("catalog.deregister", "far")
    assert call("health.node", "n1")[1]
    assert call("health.checks", "web")[1][0]["Status"] == "passing"
    assert call("health.state", "passing")[1]
    assert call("coordinate.datacenters")[0]["Datacenter"] == "dc1"
    assert call("coordinate.nodes")[1] is not None
    assert call("status.leader")
    assert call("status.peers")


def keys(call: Caller) -> None:
    assert call("kv.put", "a", "1")
    assert call("kv.get", "a")[1]["Value"] == b"1"
    assert call("kv.delete", "a")
    done = call("txn.put", [{"KV": {"Verb": "set", "Key": "t", "Value": "MQ=="}}])
    assert done["Results"][0]["KV"]["Key"] == "t"
    made = call("session.create", "s", ttl=60)
    assert call("session.info", made)[1]["Name"] == "s"
    assert call("session.list")[1]
    assert call("session.node", "n1")[1]
    assert call("session.renew", made)["ID"] == made
    assert call("session.destroy", made)
    assert call("event.fire", "deploy", "now")["Name"] == "deploy"
    assert until(lambda: call("event.list", name="deploy")[1])


def queries(call: Caller) -> None:
    made = call("query.create", "web", name="q")["ID"]
    assert call("query.get", made)[0]["Name"] == "q"
    assert call("query.execute", "q")["Nodes"][0]["Service"]["ID"] == "web1"
    assert call("query.explain", "q")["Query"]["ID"] == made
    assert call("query.update", made, service="web", name="r")
    assert [row["Name"] for row in call("query.list")] == ["r"]
    assert call("query.delete", made)


def mesh(call: Caller) -> None:
    assert call("config.put", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    assert call("config.get", "service-defaults", "web")["Protocol"] == "http"
    assert call("config.list", "service-defaults")
    assert call("config.delete", "service-defaults", "web") is not None
    assert call("connect.certificates.list")["Roots"]
    now = call("connect.certificates.current")
    assert call("connect.certificates.put", now["Config"], now["Provider"])
    made = call("connect.intentions.create", "a", "web", "consul", "allow")["ID"]
    assert call("connect.intentions.get", made)["SourceName"] == "a"
    assert call("connect.intentions.list")
    assert call("connect.intentions.list_match", "destination", "web")["web"]
    assert call("connect.intentions.check", "a", "web")["Allowed"] is True
    assert call(
        "connect.intentions.put", made, source_name="a", destination_name="web", source_type="consul", action="deny"
    )
    assert call("connect.intentions.check", "a", "web")["Allowed"] is False
    assert call("connect.intentions.delete", made) is not None


def operator(call: Caller) -> None:
    now = call("operator.autopilot.configuration")
    assert now["CleanupDeadServers"] is True
    assert call("operator.autopilot.update", {"CleanupDeadServers": False})
    until(lambda: call("operator.autopilot.health")["Healthy"])
    fresh = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="
    assert call("operator.keyring.create", fresh)
    assert fresh in call("operator.keyring.list")[0]["Keys"]
    first = next(key for key in call("operator.keyring.list")[0]["Keys"] if key != fresh)
    assert call("operator.keyring.update", fresh)
    assert call("operator.keyring.delete", first)
    assert call("operator.raft.configuration")["Servers"]
    assert call("operator.raft_config")["Servers"]
    assert "1.2.3.4:1" in call.refused("operator.raft.delete", address="1.2.3.4:1")


def acls(call: Caller) -> None:
    assert "no longer allowed" in call.refused("acl.bootstrap")
    assert call("acl.replication")["Enabled"] is False
    assert call("acl.tokens.self")["AccessorID"]
    policy = call("acl.policy.create", "p", rules='key "a" { policy = "read" }')["ID"]
    assert call("acl.policy.get", policy)["Name"] == "p"
    assert call("acl.policy.update", policy, "p", rules="", description="d")["Description"] == "d"
    assert call("acl.policy.list")
    role = call("acl.roles.create", {"Name": "r", "Policies": [{"ID": policy}]})["ID"]
    assert call("acl.roles.get", role)["Name"] == "r"
    assert call("acl.roles.get_by_name", "r")["ID"] == role
    assert call("acl.roles.update", {"Name": "r", "Description": "d"}, role)["Description"] == "d"
    assert call("acl.roles.list")
    token = call("acl.tokens.create", {"Description": "t", "Roles": [{"ID": role}]})["AccessorID"]
    assert call("acl.tokens.get", token)["Description"] == "t"
    assert call("acl.tokens.update", {"Description": "u"}, token)["Description"] == "u"
    assert call("acl.tokens.clone", "copy", accessor_id=token)["Description"] == "copy"
    assert len(call("acl.tokens.list")) >= 3
    method = {"Name": "m", "Type": "jwt", "Config": {"JWTValidationPubKeys": [KEY], "BoundAudiences": ["x"]}}
    assert call("acl.auth_method.create", method)["Name"] == "m"
    assert call("acl.auth_method.get", "m")["Type"] == "jwt"
    assert call("acl.auth_method.update", {**method, "Description": "d"}, "m")["Description"] == "d"
    assert call("acl.auth_method.list")
    rule = {"AuthMethod": "m", "BindType": "service", "BindName": "web"}
    made = call("acl.binding_rule.create", rule)["ID"]
    assert call("acl.binding_rule.get", made)["BindName"] == "web"
    assert call("acl.binding_rule.update", {**rule, "BindName": "api"}, made)["BindName"] == "api"
    assert call("acl.binding_rule.list")
    call.refused("acl.login", "m", "no token")
    assert "login" in call.refused("acl.logout")
    for path, one in (("acl.binding_rule", made), ("acl.auth_method", "m")):
        assert call(f"{path}.delete", one)
    for path, one in (("acl.tokens", token), ("acl.roles", role), ("acl.policy", policy)):
        assert call(f"{path}.delete", one)


def removed(call: Caller) -> None:
    """Endpoints that Consul removed with 1.11: what is left of them is a 404, which the library shows in many ways."""
    legacy = [path for path in call.methods if path.startswith("acl.legacy_tokens.")]
    for path in [*legacy, *(f"acl.{name}" for name in ("clone", "create", "destroy", "info", "list", "update"))]:
        nothing(call, path, *([] if path.endswith((".create", ".list")) else ["x"]))
    nothing(call, "acl.create_translate", "x")
    nothing(call, "acl.get_translate", "x")
    assert call("acl.self")["AccessorID"]


def nothing(call: Caller, path: str, *args: Any) -> None:
    """A call that is refused, or gives nothing."""
    try:
        found = call(path, *args)
    except (consul.ConsulException, consul.base.NotFound, KeyError, TypeError):
        return
    assert not found or found == (None, None) or b"not a recognized HTTP API endpoint" in found, f"{path}: {found!r}"


def snapshots(call: Caller) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.tgz"
        call("snapshot.save", str(path))
        saved = path.read_bytes() if path.exists() else call("snapshot.get")
        assert saved
        call("snapshot.get")
        call.methods["snapshot.put"](saved)
        calls["snapshot.put"] += 1
        path.write_bytes(saved)
        call("snapshot.restore", str(path))


KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----"""


def main() -> None:
    client = consul.Consul(host=sys.argv[1], port=int(sys.argv[2]), token=sys.argv[3])
    call = Caller(client)
    call("agent.service.register", "early")
    call("agent.service.deregister", "early")
    for part in (agent, catalog, keys, queries, mesh, operator, acls, removed, snapshots):
        part(call)
    missing = sorted(set(call.methods) - set(calls))
    assert not missing, f"never called: {missing}"
    print(f"ok: {sum(calls.values())} calls of {len(call.methods)} methods, {consul.__file__}")


if __name__ == "__main__":
    main()
