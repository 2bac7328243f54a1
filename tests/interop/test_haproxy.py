"""HAProxy's `server-template` over our DNS SRV: its servers follow what registers, fails, leaves (D2, D5, D22)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from meshtest.backends import backends
from meshtest.clients import http_request
from meshtest.peers import program, running, wait_until
from meshtest.process import AgentProcess, free_ports
from meshtest.register import http_checked, register, wait_passing

CONFIG = """
global
    maxconn 100
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
    option redispatch
    retries 3
resolvers meshagent
    nameserver local 127.0.0.1:{dns}
    accepted_payload_size 4096
    resolve_retries 3
    timeout resolve 200ms
    timeout retry 500ms
    hold valid 200ms
    hold obsolete 0s
    hold nx 0s
    hold other 5s
    hold refused 5s
    hold timeout 5s
frontend front
    bind 127.0.0.1:{http}
    default_backend web
backend web
    balance roundrobin
    server-template web 4 _web._tcp.service.consul resolvers meshagent resolve-prefer ipv4 init-addr none
"""


def test_the_backend_follows_register_and_fail(agent: AgentProcess, tmp_path: Path) -> None:
    ports = free_ports(["http"])
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(dns=agent.ports["dns"], http=ports["http"]))

    def served() -> Counter[str]:
        """Who answered twelve requests through the proxy."""
        answers = [http_request(("127.0.0.1", ports["http"]), "GET", "/", timeout_s=5) for _ in range(12)]
        return Counter(one.body.decode() if one.status == 200 else str(one.status) for one in answers)

    with (
        backends("b1", "b2") as (one, two),
        running([program("haproxy"), "-db", "-f", str(config)], tmp_path, port=ports["http"]) as proxy,
    ):
        assert set(served()) == {"503"}
        register(agent, http_checked(one), http_checked(two))
        wait_passing(agent, "b1", "b2")
        proxy.wait("both backends serve", lambda: set(served()) == {"b1", "b2"})
        assert served() == {"b1": 6, "b2": 6}

        one.status = 503  # its check fails: DNS leaves it out, HAProxy follows
        wait_passing(agent, "b2")
        proxy.wait("only the healthy one serves", lambda: set(served()) == {"b2"})
        one.status = 200
        proxy.wait("it is back", lambda: set(served()) == {"b1", "b2"})
        agent.put("/v1/agent/service/deregister/b2")
        proxy.wait("the other has left", lambda: set(served()) == {"b1"})
        agent.put("/v1/agent/service/deregister/b1")
        wait_until("none is left", lambda: set(served()) == {"503"})
