"""A configuration that cannot work is refused before anything starts, in words that say where and what (G2, G28)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from meshtest.process import AgentProcess, meshagent_command

CASES = {
    "unknown key names its nearest": (
        "agent.json",
        '{\n "datacentre": "dc1"\n}',
        ["agent.json", "datacentre", "datacenter"],
    ),
    "wrong type names the key": ("agent.json", '{"ports": {"http": "many"}}', ["ports.http"]),
    "not JSON names the place": ("agent.json", '{"server": tru}', ["agent.json"]),
    "not HCL names the line": (
        "agent.hcl",
        "server = true\nports {\n  http = \n}\n",
        ["agent.hcl:4:1", "expected a value"],
    ),
    "bad duration": (
        "agent.json",
        '{"leave_on_terminate": true, "check_update_interval": "5 minutes"}',
        ["check_update_interval"],
    ),
    "bad service": ("agent.json", '{"service": {"port": 80}}', ["ame"]),
    "bad check": ("agent.json", '{"check": {"name": "c", "http": "http://x"}}', ["nterval"]),
    "enterprise only": ("agent.json", '{"partition": "p"}', ["partition"]),
}


def refused(tmp_path: Path, command: list[str], name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(text)
    argv = [*meshagent_command(), *command, str(path)]
    if command[0] == "agent":
        argv += ["-data-dir", str(tmp_path / "data"), "-server", "-bootstrap"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("command", [["agent", "-config-file"], ["validate"]], ids=["agent", "validate"])
def test_it_is_refused_with_file_and_field(tmp_path: Path, command: list[str], case: str) -> None:
    name, text, wanted = CASES[case]
    said = refused(tmp_path, command, name, text)
    for word in wanted:
        assert word in said, said
    assert "Traceback" not in said


def test_a_good_configuration_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "agent.hcl"
    path.write_text(f'data_dir = "{tmp_path}/data"\nserver = true\nbootstrap = true\nbind_addr = "127.0.0.1"\n')
    done = subprocess.run(
        [*meshagent_command(), "validate", str(path)], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Configuration is valid!" in done.stdout


def test_a_port_in_use_is_said_plainly(agent: AgentProcess, tmp_path: Path) -> None:
    from meshtest.process import free_ports

    assert agent.config is not None
    ports = {**free_ports(), "http": agent.ports["http"]}
    config = {**agent.config, "ports": ports, "data_dir": str(tmp_path / "data")}
    other = AgentProcess(config, ports=ports, directory=tmp_path)
    other.start(ready=False)
    try:
        assert other.process is not None
        assert other.process.wait(15) == 1
        where = f"127.0.0.1:{agent.ports['http']}"
        assert f"==> ports.http: cannot listen on {where}: address already in use: is another agent" in other.log()
        assert "error while attempting" not in other.log()
        assert "Traceback" not in other.log()
    finally:
        other.stop()
