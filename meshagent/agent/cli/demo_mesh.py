"""I/O edge: `meshagent demo mesh`: what the mesh does, on one machine, in words and figures that are measured then.

An agent that runs the sidecars, `web`, `api` in two versions (one of them twice); each chapter changes one thing, makes
requests at web's upstream, and prints what came of them.

Source: our own. What may change here: further chapters: a function with `@chapter`.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meshagent.agent.cli import traffic
from meshagent.agent.cli.client import Client
from meshagent.agent.cli.demo_collector import Collector, tree
from meshagent.agent.cli.output import say
from meshagent.clock import SystemClock
from meshagent.connect.suggestions import from_edges, suggested
from meshagent.errors import MeshError

__all__ = ["CHAPTERS", "MeshDemo", "entries", "registrations", "to_try", "tracing"]

_REQUESTS = 200

Wait = Callable[[str, Callable[[], Any]], None]


@dataclass(slots=True)
class MeshDemo:
    """What the chapters use. `ports` are those of the applications by name, `upstream` is web's way to api, `public`
    the sidecar of one of api's instances."""

    client: Client
    ports: dict[str, int]
    upstream: int
    public: int
    wait: Wait
    collector: Collector

    def ask(self, path: str = "/") -> tuple[int, str]:
        """(status, text) of a request of web to api; (0, reason) when there is no answer."""
        return request(self.upstream, path)

    def many(self, count: int = _REQUESTS) -> Counter[str]:
        """What that many requests of web were answered with."""
        found: Counter[str] = Counter()
        for _ in range(count):
            status, text = self.ask()
            found[text.removeprefix("hello from ") if status == 200 else f"{status}: {text}"] += 1
        return found

    def tell(self, name: str, path: str) -> str:
        """Say something to an application itself, past the mesh."""
        return request(self.ports[name], path)[1]

    def intention(self, action: str) -> None:
        """Whether web may call api."""
        path = "connect/intentions/exact"
        self.client.put(path, {"source": "web", "destination": "api"}, value={"Action": action})


Chapter = Callable[[MeshDemo], str]
CHAPTERS: list[tuple[str, Chapter]] = []


def chapter(title: str) -> Callable[[Chapter], Chapter]:
    def add(told: Chapter) -> Chapter:
        CHAPTERS.append((title, told))
        return told

    return add


def request(port: int, path: str) -> tuple[int, str]:
    """(status, text) of a GET on 127.0.0.1; (0, reason) when there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10.0)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()


def registrations(ports: dict[str, int], upstream: int, sidecars: dict[str, int]) -> list[dict[str, Any]]:
    """The services with their sidecars. `sidecars` are the public ports by instance."""

    def one(name: str, instance: str, version: str, **proxy: Any) -> dict[str, Any]:
        port = sidecars[instance]
        check = {"Name": "sidecar listens", "TCP": f"127.0.0.1:{port}", "Interval": "1s", "Status": "critical"}
        return {
            "ID": instance,
            "Name": name,
            "Address": "127.0.0.1",
            "Port": ports[instance],
            "Meta": {"version": version},
            "Connect": {"SidecarService": {"Port": port, "Proxy": proxy, "Checks": [check]}},
        }

    quick = {"passive_health_check": {"interval": "1s", "max_failures": 3, "enforcing_consecutive_5xx": 100}}
    to_api = {"DestinationName": "api", "LocalBindPort": upstream, "Config": quick}
    return [
        one("api", "api-v1-a", "v1"),
        one("api", "api-v1-b", "v1"),
        one("api", "api-v2", "v2"),
        one("web", "web", "v1", Upstreams=[to_api]),
    ]


def entries(v2_share: int) -> list[dict[str, Any]]:
    """Config entries: api speaks HTTP, has two versions, so much of it goes to v2; what failed is tried again."""
    retry = {"NumRetries": 3, "RetryOnStatusCodes": [503]}
    route = {"Match": {"HTTP": {"PathPrefix": "/"}}, "Destination": {"Service": "api", **retry}}
    subsets = {name: {"Filter": f'Service.Meta.version == "{name}"'} for name in ("v1", "v2")}
    splits = [{"Weight": 100 - v2_share, "ServiceSubset": "v1"}, {"Weight": v2_share, "ServiceSubset": "v2"}]
    return [
        {"Kind": "service-defaults", "Name": "api", "Protocol": "http"},
        {"Kind": "service-resolver", "Name": "api", "DefaultSubset": "v1", "Subsets": subsets},
        {"Kind": "service-splitter", "Name": "api", "Splits": splits},
        {"Kind": "service-router", "Name": "api", "Routes": [route]},
    ]


def tracing(url: str) -> dict[str, Any]:
    """The config entry that has all sidecars send the traces that somebody asked for."""
    return {
        "Kind": "proxy-defaults",
        "Name": "global",
        "Config": {"otlp_endpoint": url, "trace_sampling_percent": 0},
    }


def to_try(demo: MeshDemo, program: str, where: str) -> list[tuple[str, str]]:
    """(label, line) of what to type while it runs. `where` is the flag that leads to the agent, or ""."""
    return [
        ("mesh", f"curl http://127.0.0.1:{demo.upstream}/"),
        ("", f"{program} top{where}"),
        ("", f"{program} tap{where} api"),
        ("rules", f"{program} intention create{where} -deny -replace web api"),
        ("", f"{program} intention explain{where} web api"),
        ("", f"{program} intention suggest{where} -deny-others"),
        ("config", f"{program} config read{where} -kind service-splitter -name api"),
        ("", f"{program} proxy config{where} web-sidecar-proxy"),
    ]


def run(demo: MeshDemo) -> None:
    """All chapters."""
    for at, (title, told) in enumerate(CHAPTERS, 1):
        say(f"\n{at}. {title}")
        for line in told(demo).splitlines():
            say(f"   {line}")


def shown(found: Counter[str]) -> str:
    """`181 x api v1, 19 x api v2`."""
    return ", ".join(f"{count} x {what}" for what, count in sorted(found.items()))


# --- the chapters ---------------------------------------------------------------------------------------------------


@chapter("web calls api over mutual TLS")
def mutual_tls(demo: MeshDemo) -> str:
    status, text = demo.ask()
    leaf = demo.client.get("agent/connect/ca/leaf/api")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", demo.public), timeout=5.0) as raw, context.wrap_socket(raw) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: api\r\n\r\n")
            stranger = f"was answered: {tls.recv(100)!r}"
    except OSError as error:
        stranger = f"is refused: {getattr(error, 'reason', '') or error}"
    return (
        f"curl http://127.0.0.1:{demo.upstream}/ -> {status} {text}\n"
        f"api proves to be {leaf['ServiceURI']}\n"
        f"who comes to api's sidecar without a certificate {stranger}"
    )


@chapter("an intention denies it")
def deny(demo: MeshDemo) -> str:
    clock = SystemClock()
    demo.intention("deny")
    began = clock.monotonic()
    demo.wait("the deny", lambda: demo.ask()[0] == 403)
    took_s = clock.monotonic() - began
    status, text = demo.ask()
    decision = demo.client.get("connect/intentions/explain", {"source": "web", "destination": "api"})
    demo.intention("allow")
    demo.wait("the allow", lambda: demo.ask()[0] == 200)
    return (
        f"meshagent intention create -deny web api: enforced after {took_s * 1000:.0f} ms\n"
        f"curl http://127.0.0.1:{demo.upstream}/ -> {status or 'no answer'} {text}\n"
        f"meshagent intention explain web api: {'Allowed' if decision['Allowed'] else 'Denied'}. {decision['Reason']}\n"
        "meshagent intention create -allow -replace web api: and it answers again"
    )


@chapter("traffic is split 90/10")
def split(demo: MeshDemo) -> str:
    for entry in entries(10):
        demo.client.put("config", value=entry)
    demo.wait("both versions", lambda: {"api v1 (a)", "api v1 (b)", "api v2"} <= set(demo.many(50)))
    found = demo.many()
    return f"{_REQUESTS} requests: {shown(found)}"


@chapter("an instance breaks: requests are tried again elsewhere, and it is ejected")
def retries(demo: MeshDemo) -> str:
    demo.tell("api-v1-b", "/break")
    before = int(demo.tell("api-v1-b", "/count"))
    found = demo.many()
    failed = int(demo.tell("api-v1-b", "/count")) - before
    bad = sum(count for what, count in found.items() if not what.startswith("api"))
    demo.tell("api-v1-b", "/mend")
    return (
        f"{_REQUESTS} requests while api v1 (b) answers 503: {shown(found)}\n"
        f"api v1 (b) failed {failed} of them before it was left alone; web saw {bad} failures"
    )


@chapter("a request is traced through both sidecars")
def trace(demo: MeshDemo) -> str:
    identity = "4bf92f3577b34da6a3ce929d0e0e4736"
    parent = f"00-{identity}-00f067aa0ba902b7-01"
    connection = http.client.HTTPConnection("127.0.0.1", demo.upstream, timeout=10.0)
    try:
        connection.request("GET", "/trace", headers={"traceparent": parent, "Connection": "close"})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
    told = dict(line.lower().split(": ", 1) for line in text.splitlines() if ": " in line)
    if identity not in told.get("traceparent", ""):
        raise MeshError(f"the trace did not arrive: {text}")
    demo.wait("both sidecars' spans", lambda: len(demo.collector.of(identity)) >= 2)
    peer = told.get("x-forwarded-client-cert", "").rpartition("uri=")[2]
    return "\n".join(
        (
            f"curl -H 'traceparent: {parent}' http://127.0.0.1:{demo.upstream}/trace -> {answer.status}",
            f"what the collector has of trace {identity}:",
            *(f"  {line}" for line in tree(demo.collector.of(identity))),
            f"api is told of request {told.get('x-request-id', '?')} by {peer}",
        )
    )


@chapter("what was seen can become rules")
def suggest(demo: MeshDemo) -> str:
    found = traffic.look(demo.client, "", local=False)
    if found.missing:
        raise MeshError(f"not all sidecars answer: {', '.join(found.missing)}")
    entries = suggested(from_edges(traffic.edges(found)), deny_others=True)
    rules = "; ".join(
        f"{one['Action']} {one['Name']}" + (f" ({one['Description']})" if one.get("Description") else "")
        for entry in entries
        for one in entry["Sources"]
    )
    names = ", ".join(entry["Name"] for entry in entries)
    return f"meshagent intention suggest -deny-others: for {names} {rules}"


def started(demo: MeshDemo) -> None:
    """Return when web reaches api."""
    demo.wait("web to reach api", lambda: demo.ask()[0] == 200)
