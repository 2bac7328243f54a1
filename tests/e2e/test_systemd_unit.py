"""The command line of deploy/systemd/meshagent.service starts a working agent that keeps systemd's notify promises."""

from __future__ import annotations

import configparser
import shlex
import signal
import socket
from pathlib import Path

from meshtest import ROOT
from meshtest.process import AgentProcess, free_ports, meshagent_command

UNIT = ROOT / "deploy" / "systemd" / "meshagent.service"


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser


def test_the_units_command_line_runs_and_notifies(tmp_path: Path) -> None:
    ports = free_ports()
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "agent.hcl").write_text(
        f"""
        node_name = "n1"
        server = true
        bootstrap = true
        bind_addr = "127.0.0.1"
        ports {{ {" ".join(f"{name} = {port}" for name, port in ports.items())} }}
        """.replace(" serf_", "\nserf_")
        .replace(" dns", "\ndns")
        .replace(" server =", "\nserver =")
        .replace(" grpc", "\ngrpc")
    )
    words = shlex.split(unit()["Service"]["ExecStart"])
    assert Path(words[0]).name == "meshagent"
    places = {"/etc/meshagent.d": tmp_path / "conf", "/var/lib/meshagent": tmp_path / "data"}
    args = [
        next((word.replace(old, str(new)) for old, new in places.items() if old in word), word) for word in words[1:]
    ]
    assert args != words[1:], "the unit names neither of its directories"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(15)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with AgentProcess(args=args, command=meshagent_command(), ports=ports, directory=tmp_path, env=env) as agent:
            said = ""

            def heard(word: str) -> bool:
                nonlocal said
                while word not in said:
                    said += notify.recv(4096).decode() + "\n"
                return True

            assert heard("READY=1")
            said = ""
            agent.signal(signal.SIGHUP)
            assert heard("RELOADING=1")
            assert "MONOTONIC_USEC=" in said  # systemd asks for it with Type=notify-reload
            assert heard("READY=1")
            agent.signal(signal.SIGTERM)
            assert heard("STOPPING=1")
            assert agent.process is not None
            assert agent.process.wait(10) == 0
