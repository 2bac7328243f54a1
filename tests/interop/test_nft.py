"""nft reads every kind of rule that `connect redirect-traffic` makes, and shows what it was given."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from meshtest.namespaces import unshared
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
