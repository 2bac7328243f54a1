"""I/O edge: the whole life of a service through a Consul client library: run as `python client_lifecycle.py HOST PORT`.

Runs in a process of its own because py-consul and python-consul2 share the package name `consul`: PYTHONPATH chooses.
Only calls that both have. Prints "ok" and a line for each stage.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import consul


def statuses(client: Any, **options: Any) -> list[str]:
    _, rows = client.health.service("web", **options)
    return sorted(check["Status"] for row in rows for check in row["Checks"] if check["CheckID"] != "serfHealth")


def until(what: str, condition: Any, within_s: float = 60.0) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def services(client: Any) -> None:
    assert client.status.leader()
    assert client.agent.self()["Config"]["NodeName"] == "n1"
    assert [member["Name"] for member in client.agent.members()] == ["n1"]
    check = consul.Check.ttl("10s")
    assert client.agent.service.register(
        "web", service_id="web1", address="127.0.0.9", port=8080, tags=["v1", "blue"], check=check, meta={"zone": "a"}
    )
    found = client.agent.services()["web1"]
    assert (found["Port"], found["Tags"], found["Meta"]) == (8080, ["v1", "blue"], {"zone": "a"})
    assert statuses(client) == ["critical"]
    print("registered")

    index, _ = client.health.service("web")
    woken: list[Any] = []
    watcher = threading.Thread(target=lambda: woken.append(client.health.service("web", index=index, wait="10s")))
    watcher.start()
    time.sleep(0.2)
    assert client.agent.check.ttl_pass("service:web1", notes="all well")
    watcher.join(8)
    assert woken, "the blocking query was not woken"
    assert int(woken[0][0]) > int(index)
    assert [check["Status"] for check in woken[0][1][0]["Checks"] if check["CheckID"] == "service:web1"] == ["passing"]
    print("watched")

    _, passing = client.health.service("web", passing=True)
    assert [row["Service"]["ID"] for row in passing] == ["web1"]
    assert len(client.health.service("web", tag="blue")[1]) == 1
    assert client.health.service("web", tag="green")[1] == []
    assert client.agent.check.ttl_fail("service:web1", notes="broken")
    until("a failing check leaves ?passing", lambda: client.health.service("web", passing=True)[1] == [])
    assert client.agent.check.ttl_warn("service:web1", notes="hm")
    until("warning", lambda: statuses(client) == ["warning"])
    assert [row["Output"] for row in client.health.checks("web")[1]] == ["hm"]
    print("checked")

    _, catalog = client.catalog.services()
    assert sorted(catalog["web"]) == ["blue", "v1"]
    _, rows = client.catalog.service("web")
    assert [(row["ServiceAddress"], row["ServicePort"]) for row in rows] == [("127.0.0.9", 8080)]
    assert client.catalog.datacenters() == ["dc1"]
    assert [row["Node"] for row in client.catalog.nodes()[1]] == ["n1"]
    assert "web1" in client.catalog.node("n1")[1]["Services"]
    assert client.agent.service.maintenance("web1", True, reason="oil change")
    until("maintenance", lambda: "critical" in statuses(client))
    assert client.agent.service.maintenance("web1", False)
    print("catalog")

    assert client.agent.check.register("disk", check=consul.Check.ttl("10s"), check_id="disk")
    assert "disk" in client.agent.checks()
    assert client.agent.check.deregister("disk")
    assert client.catalog.register("legacy", "10.9.9.9", service={"Service": "db", "Port": 5432})
    assert [row["Node"] for row in client.catalog.service("db")[1]] == ["legacy"]
    assert client.catalog.deregister("legacy")
    assert client.catalog.service("db")[1] == []
    assert client.agent.service.deregister("web1")
    until("gone", lambda: client.health.service("web")[1] == [])
    print("deregistered")


def keys(client: Any) -> None:
    assert client.kv.get("a/none")[1] is None
    assert client.kv.put("a/one", "1") is True
    assert client.kv.put("a/two", "2", flags=7) is True
    index, row = client.kv.get("a/two")
    assert (row["Value"], row["Flags"]) == (b"2", 7)
    assert client.kv.get("a/", keys=True)[1] == ["a/one", "a/two"]
    assert [one["Key"] for one in client.kv.get("a/", recurse=True)[1]] == ["a/one", "a/two"]
    assert client.kv.put("a/two", "3", cas=row["ModifyIndex"] + 1000) is False
    assert client.kv.put("a/two", "3", cas=row["ModifyIndex"]) is True
    assert client.kv.put("a/new", "x", cas=0) is True
    assert client.kv.put("a/new", "y", cas=0) is False
    watched: list[Any] = []
    watcher = threading.Thread(target=lambda: watched.append(client.kv.get("a/one", index=index, wait="10s")))
    watcher.start()
    time.sleep(0.2)
    client.kv.put("a/one", "changed")
    watcher.join(8)
    assert watched[0][1]["Value"] == b"changed"
    assert client.kv.delete("a/new") is True
    assert client.kv.delete("a/", recurse=True) is True
    assert client.kv.get("a/", recurse=True)[1] is None
    print("kv")


def main() -> None:
    client = consul.Consul(host=sys.argv[1], port=int(sys.argv[2]))
    services(client)
    keys(client)
    print("ok", consul.__file__)


if __name__ == "__main__":
    main()
