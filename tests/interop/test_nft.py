"""nft reads every kind of rule that `connect redirect-traffic` makes, and shows what it was given; so it does for the
CNI plugin, in the namespace of an allocation (N11)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from meshtest.namespaces import Host, unshared
from meshtest.peers import program

from meshagent.connect.redirect import Redirection, network, removal, rules

FULL = Redirection(
    uids=(0, 1234),
    inbound_port=20000,
    inbound_ports=((22, 22), (20, 30)),
    outbound_ports=((80, 90),),
    networks=(network("", "10.0.0.0/8"), network("", "10.2.0.0/16"), network("", "fd00::/8")),
    dns_ip="fd00::1",
    dns_port=8600,
)
PLAIN = Redirection(uids=(1,), inbound_port=1, dns_port=53)


@pytest.mark.parametrize("text", [rules(FULL), rules(PLAIN), removal()], ids=["full", "plain", "removal"])
def test_it_takes_the_rules_twice(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules").write_text(text)
    nft = program("nft")
    line = f"{nft} -f {tmp_path}/rules && {nft} -f {tmp_path}/rules && {nft} list ruleset"
    done = subprocess.run([*unshared(), "sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("redirect to") == text.count("redirect to")
    assert done.stdout.count("dnat") == text.count("dnat")


def test_n11_the_cni_plugin_puts_them_into_the_namespace_of_an_allocation() -> None:
    wanted = {"ProxyUserID": "101", "ProxyInboundPort": 25000, "ExcludeInboundPorts": ["22"]}
    before = {"cniVersion": "1.0.0", "ips": [{"address": "172.26.64.2/20"}]}
    config = {"cniVersion": "1.0.0", "name": "nomad", "type": "consul-cni", "prevResult": before}
    with contextlib.closing(Host()) as host:
        environ = {
            "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "a", "CNI_IFNAME": "eth0", "CNI_NETNS": host.path,
            "CNI_ARGS": f"IgnoreUnknown=true;CONSUL_IPTABLES_CONFIG={json.dumps(wanted)}",
        }  # fmt: skip
        plugin = [sys.executable, "-c", "from meshagent.agent.cli.cni_plugin import main; main()"]
        done = subprocess.run(
            plugin, input=json.dumps(config).encode(), env={**os.environ, **environ}, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout
        assert json.loads(done.stdout) == before
        line = [program("nsenter"), f"--net={host.path}", program("nft"), "list", "ruleset"]
        shown = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert "redirect to :25000" in shown
    assert "tcp dport 22 return" in shown
