"""consul-template renders services, keys, nodes and the datacenter from us, again at each change (surface V2, N9)."""

from __future__ import annotations

import json
from pathlib import Path

from meshtest.backends import backends
from meshtest.clients import http_request
from meshtest.peers import built, running
from meshtest.process import AgentProcess
from meshtest.register import http_checked, register

TEMPLATE = """\
{{ range service "web" }}instance {{ .ID }} {{ .Port }} {{ .Tags | join "," }}
{{ end -}}
{{ range services }}service {{ .Name }}
{{ end -}}
{{ range nodes }}node {{ .Node }} {{ .Address }}
{{ end -}}
{{ range datacenters }}datacenter {{ . }}
{{ end -}}
key {{ keyOrDefault "app/greeting" "none" }}
{{ range ls "app" }}pair {{ .Key }}={{ .Value }}
{{ end -}}
{{ with $d := key "app/json" | parseJSON }}json {{ $d.a }}
{{ end -}}
"""


def test_a_file_follows_services_and_keys(agent: AgentProcess, tmp_path: Path) -> None:
    source, target = tmp_path / "in.ctmpl", tmp_path / "out"
    source.write_text(TEMPLATE)
    http = ("127.0.0.1", agent.ports["http"])

    def put(key: str, value: bytes) -> None:
        assert http_request(http, "PUT", f"/v1/kv/{key}", body=value).status == 200

    def lines() -> set[str]:
        return set(target.read_text().splitlines()) if target.exists() else set()

    put("app/json", json.dumps({"a": 7}).encode())
    argv = [
        built("consul-template"), f"-consul-addr=127.0.0.1:{agent.ports['http']}", "-template", f"{source}:{target}",
        "-wait=50ms:500ms",
    ]  # fmt: skip
    with backends("b1", "b2") as (one, two), running(argv, tmp_path) as template:
        register(agent, http_checked(one, Tags=["v1", "eu"]))
        first = f"instance b1 {one.port} eu,v1"
        template.wait("the first instance", lambda: first in lines())
        assert {"service consul", "service web", "node n1 127.0.0.1", "datacenter dc1", "key none", "json 7"} <= lines()
        put("app/greeting", b"hello")
        template.wait("the key", lambda: {"key hello", "pair greeting=hello"} <= lines())
        register(agent, http_checked(two))
        template.wait("the second instance", lambda: any(line.startswith("instance b2 ") for line in lines()))
        one.status = 503
        template.wait("the failed one gone", lambda: first not in lines())
