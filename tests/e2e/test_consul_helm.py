"""What Consul's own Helm chart makes of its values starts a server and a client of ours as it is (surface row P13).

tests/data/consul_k8s/helm has the configuration and the commands of its pods, as `helm template` rendered them. Only
what a pod brings is filled in: its addresses, its volume, and free ports.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.process import PORT_NAMES, AgentProcess, free_ports, meshagent_command

CHART = Path(__file__).parents[1] / "data" / "consul_k8s" / "helm"
KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
#: The chart's ports by what they are for.
PORTS = {8300: "server", 8301: "serf_lan", 8302: "serf_wan", 8500: "http", 8501: "https", 8502: "grpc_tls", 8600: "dns"}


class Pod:
    """A container of the chart: its volume `/consul` is a folder, its ports are free ones."""

    def __init__(self, kind: str, folder: Path, address: str, server_port: int = 0) -> None:
        self.folder = folder
        self.address = address
        self.ports = free_ports((*PORT_NAMES, "https"))
        self.joined = server_port or self.ports["serf_lan"]
        volume = folder / "consul"
        for name in ("config", "extra-config", "aclconfig", "data"):
            (volume / name).mkdir(parents=True)
        for source in (CHART / kind).iterdir():
            (volume / "config" / source.name).write_text(self._here(source.read_text()))
        (volume / "extra-config" / "extra-from-values.json").write_text("{}")
        ports = {name: port for name, port in self.ports.items() if name not in {"http", "https", "grpc", "grpc_tls"}}
        (volume / "extra-config" / "ports.json").write_text(
            json.dumps({"ports": ports, "performance": {"raft_multiplier": 1}})
        )
        command = json.loads((CHART / f"{kind}_command.json").read_bytes())
        args = [self._here(word) for word in command[1:]]
        self.agent = AgentProcess(args=args, ports=self.ports, directory=folder, address=address)

    def _here(self, text: str) -> str:
        text = re.sub(r"/consul/", f"{self.folder}/consul/", text)
        given = {"ADVERTISE_IP": self.address, "GOSSIP_KEY": KEY, "NODE": "k1", "HOST_IP": self.address}
        given |= {"POD_IP": self.address, "HOSTNAME": "pod-1"}
        text = re.sub(r"\$\{?(\w+)\}?", lambda found: given.get(found[1], found[0]), text)
        text = re.sub(r"(\$\{CONSUL_FULLNAME\}-server-\d\.[^:]*|consul-server\.consul\.svc):8301", "SERVER", text)
        text = re.sub(r'(?<=[ :"])(85\d\d)\b', lambda found: str(self.ports[PORTS[int(found[1])]]), text)
        text = text.replace("SERVER", f"127.0.0.1:{self.joined}").replace("0.0.0.0", self.address)
        return text.replace('"serf_lan": 8301', f'"serf_lan": {self.ports["serf_lan"]}').replace(
            '"bootstrap_expect": 3', '"bootstrap_expect": 1'
        )

    def ask(self, method: str, path: str, token: str = "", body: Any = None) -> Any:
        """The JSON of an answer over HTTPS, as `curl -k` has it. Raises OSError."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        url = f"https://{self.address}:{self.ports['https']}{path}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data, {"X-Consul-Token": token}, method=method)
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return json.loads(answer.read())

    def leader(self) -> str:
        """What the readiness probe of the chart asks."""
        return str(self.ask("GET", "/v1/status/leader"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Pod]:
    folder = tmp_path / "server"
    folder.mkdir()
    pod = Pod("server", folder, "127.0.0.1")
    made = tmp_path / "certificates"
    made.mkdir()
    for words in (["tls", "ca", "create"], ["tls", "cert", "create", "-server", "-dc", "dc1"]):
        subprocess.run([*meshagent_command(), *words], cwd=made, check=True, capture_output=True, env=dict(os.environ))
    tls = folder / "consul" / "tls"
    for name in ("ca", "server"):
        (tls / name).mkdir(parents=True)
    shutil.copy(made / "consul-agent-ca.pem", tls / "ca" / "tls.crt")
    shutil.copy(made / "dc1-server-consul-0.pem", tls / "server" / "tls.crt")
    shutil.copy(made / "dc1-server-consul-0-key.pem", tls / "server" / "tls.key")
    pod.agent.start(ready=False)
    try:
        yield pod
    finally:
        pod.agent.stop()


def test_p13_server_and_client_of_the_chart(server: Pod, tmp_path: Path) -> None:
    server.agent.wait("the readiness probe of the server", server.leader)
    folder = tmp_path / "client"
    folder.mkdir()
    client = Pod("client", folder, "127.0.0.2", server.ports["serf_lan"])
    (folder / "consul" / "tls" / "ca").mkdir(parents=True)
    shutil.copy(server.folder / "consul" / "tls" / "ca" / "tls.crt", folder / "consul" / "tls" / "ca" / "tls.crt")
    manager = server.agent.wait("the first token", lambda: server.ask("PUT", "/v1/acl/bootstrap"))["SecretID"]
    policy = {"Name": "client", "Rules": 'node_prefix "" { policy = "write" } service_prefix "" { policy = "read" }'}
    server.ask("PUT", "/v1/acl/policy", manager, policy)
    token = server.ask("PUT", "/v1/acl/token", manager, {"Policies": [{"Name": "client"}]})["SecretID"]
    acl = {"enabled": True, "default_policy": "deny", "down_policy": "extend-cache", "tokens": {"agent": token}}
    (folder / "consul" / "aclconfig" / "acl-config.json").write_text(json.dumps({"acl": acl}))  # as acl-init does
    client.agent.start(ready=False)
    try:
        client.agent.wait("the readiness probe of the client", client.leader)
        members = server.agent.wait(
            "both members", lambda: len(found := server.ask("GET", "/v1/agent/members", manager)) == 2 and found
        )
        assert {one["Tags"]["role"] for one in members} == {"consul", "node"}
    finally:
        client.agent.kill()  # leaving takes its time
    for pod in (server, client):
        assert "Traceback" not in pod.agent.log()
