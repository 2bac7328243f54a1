"""nginx's `resolver` on our DNS A answers: a variable upstream follows health (surface D2, D22)."""

from __future__ import annotations

from pathlib import Path

from meshtest.backends import backends
from meshtest.clients import http_request
from meshtest.peers import program, running
from meshtest.process import AgentProcess, free_ports
from meshtest.register import http_checked, register, wait_passing

CONFIG = """
daemon off;
worker_processes 1;
error_log stderr warn;
pid {directory}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    resolver 127.0.0.1:{dns} valid=1s ipv6=off;
    server {{
        listen 127.0.0.1:{http};
        location / {{
            set $upstream web.service.consul;
            proxy_connect_timeout 1s;
            proxy_pass http://$upstream:{backend};
        }}
    }}
}}
"""


def test_a_variable_upstream_follows_health(agent: AgentProcess, tmp_path: Path) -> None:
    ports = free_ports(["http"])
    with backends("b1", "b2", addresses=("127.0.0.2", "127.0.0.3")) as (one, two):
        config = tmp_path / "nginx.conf"
        config.write_text(
            CONFIG.format(directory=tmp_path, dns=agent.ports["dns"], http=ports["http"], backend=one.port)
        )
        register(agent, http_checked(one), http_checked(two))
        wait_passing(agent, "b1", "b2")

        def served() -> set[str]:
            answers = [http_request(("127.0.0.1", ports["http"]), "GET", "/", timeout_s=10) for _ in range(8)]
            return {answer.body.decode() if answer.status == 200 else str(answer.status) for answer in answers}

        with running([program("nginx"), "-p", str(tmp_path), "-c", str(config)], tmp_path, port=ports["http"]) as nginx:
            nginx.wait("both backends serve", lambda: served() == {"b1", "b2"})
            two.status = 503
            wait_passing(agent, "b1")
            nginx.wait("only the healthy one serves", lambda: served() == {"b1"})
            two.status = 200
            nginx.wait("it is back", lambda: served() == {"b1", "b2"})
