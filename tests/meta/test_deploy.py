"""Every file of deploy/ and nomad-jobs/ parses, and says what it should."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from meshtest import ROOT

from meshagent.agent.config import Host, assemble
from meshagent.hcl import parse_hcl

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"


class TestSystemd:
    def unit(self) -> configparser.ConfigParser:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        assert parser.read(DEPLOY / "systemd" / "meshagent.service")
        return parser

    def test_the_unit_notifies_and_is_hardened(self) -> None:
        service = self.unit()["Service"]
        assert service["Type"] == "notify-reload"
        assert service["KillSignal"] == "SIGTERM"
        assert service["User"] == "meshagent"
        for option, value in {
            "NoNewPrivileges": "yes",
            "ProtectSystem": "strict",
            "ProtectHome": "yes",
            "PrivateTmp": "yes",
            "CapabilityBoundingSet": "",
            "StateDirectory": "meshagent",
        }.items():
            assert service[option] == value

    def test_the_command_line_is_whole(self) -> None:
        words = shlex.split(self.unit()["Service"]["ExecStart"])
        assert words[0].startswith("/")
        assert words[1] == "agent"
        assert "-data-dir=/var/lib/meshagent" in words

    def test_the_account_is_the_units(self) -> None:
        line = (DEPLOY / "systemd" / "meshagent.sysusers").read_text().splitlines()[-1]
        assert line.split()[:2] == ["u", self.unit()["Service"]["User"]]

    def test_the_resolved_drop_in_parses(self) -> None:
        parser = configparser.ConfigParser()
        parser.read(DEPLOY / "systemd" / "resolved-consul.conf")
        assert parser["Resolve"]["Domains"] == "~consul"


def test_the_dockerfile_is_sane() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    words = [line.split(None, 1)[0] for line in lines]
    known = {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE"}
    known |= {"STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert set(words) <= known
    assert words[0] == "FROM"
    assert words.index("USER") < words.index("ENTRYPOINT"), "it does not run as root"
    assert "--require-hashes" in text
    for line in lines:
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), f"COPY of {source}, which is not there"
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert all((ROOT / line[1:]).exists() for line in ignored if line.startswith("!"))


def documents() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.name}:{document['kind']}/{document['metadata']['name']}", document)
        for path in sorted(KUBERNETES.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document["kind"] != "Kustomization"
    ]


@pytest.mark.parametrize(("name", "document"), documents(), ids=[name for name, _ in documents()])
def test_kubernetes_objects_are_whole(name: str, document: dict[str, Any]) -> None:
    assert document["apiVersion"]
    if document["kind"] not in ("Namespace",):
        assert document["metadata"]["namespace"] == ("kube-system" if "coredns" in name else "meshagent")
    if document["kind"] in ("StatefulSet", "DaemonSet"):
        spec = document["spec"]
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        pod = spec["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {one["name"] for one in pod["volumes"]}
        volumes |= {one["metadata"]["name"] for one in spec.get("volumeClaimTemplates", ())}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
        configs = {data["metadata"]["name"] for _, data in documents() if data["kind"] == "ConfigMap"}
        assert {one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one} <= configs
        accounts = {data["metadata"]["name"] for _, data in documents() if data["kind"] == "ServiceAccount"}
        assert pod["serviceAccountName"] in accounts
    if document["kind"] == "ConfigMap" and "coredns" not in name:
        for file, text in document["data"].items():
            assert parse_hcl(text, file).root
    if document["kind"] == "Service":
        selected = document["spec"]["selector"].items()
        pods = [data for _, data in documents() if data["kind"] in ("StatefulSet", "DaemonSet")]
        behind = [pod for pod in pods if selected <= pod["spec"]["template"]["metadata"]["labels"].items()]
        assert behind, "it selects nothing"
        named = {port["name"] for port in behind[0]["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in document["spec"]["ports"]} <= named


def test_kustomize_names_every_file() -> None:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    others = {"kustomization.yaml", "coredns-stub.yaml"}  # the stub changes the cluster's DNS: applied by hand
    assert set(listed) == {path.name for path in KUBERNETES.glob("*.yaml")} - others


@pytest.mark.parametrize("path", sorted((ROOT / "nomad-jobs").glob("*.nomad.hcl")), ids=lambda path: path.name)
def test_nomad_jobs_parse(path: Path) -> None:
    """HCL 1 is the part of HCL 2 that these files keep to."""
    root = parse_hcl(path.read_text(), path.name).root
    assert list(root) == ["job"]
    text = path.read_text()
    assert re.search(r'driver\s+= "(raw_exec|exec)"', text)
    assert f"nomad job run nomad-jobs/{path.name}" in text
    assert path.name in (ROOT / "nomad-jobs" / "README.md").read_text()
    for config in re.findall(r"<<-EOT\n(.*?)EOT", text, re.DOTALL):
        if "bind_addr" in config:
            assert parse_hcl(re.sub(r"\{\{.*?\}\}", "", config), path.name).root


@pytest.mark.parametrize("path", sorted((DEPLOY / "systemd").glob("*.hcl")), ids=lambda path: path.name)
def test_example_configurations_parse(path: Path) -> None:
    assert parse_hcl(path.read_text(), path.name).root


def server_configurations() -> dict[str, str]:
    job = (ROOT / "nomad-jobs" / "servers.nomad.hcl").read_text()
    (inside,) = re.findall(r"<<-EOT\n(.*?)EOT", job, re.DOTALL)
    return {
        "nomad": re.sub(r"\{\{ env .*? \}\}", "10.0.0.1", inside),
        "systemd": (DEPLOY / "systemd" / "server.hcl").read_text().replace("{{ GetPrivateIP }}", "10.0.0.1"),
    }


@pytest.mark.parametrize("name", ["nomad", "systemd"])
def test_example_servers_start_today(name: str) -> None:
    sources = [
        parse_hcl(text, name).root for text in ('data_dir = "/var/lib/meshagent"', server_configurations()[name])
    ]
    loaded = assemble(sources, host=Host("host", list))
    assert loaded.warnings == []
