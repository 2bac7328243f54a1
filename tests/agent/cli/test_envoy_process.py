"""Envoy is found, asked for its version and run with a bootstrap that stands in no file and in no argument."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshagent.agent.cli.envoy_process import arguments, find_binary, version_of
from meshagent.errors import MeshError


def program(folder: Path, text: str) -> str:
    path = folder / "envoy"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_it_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary("") == find_binary(path) == path
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MeshError, match=r'exec: "envoy": executable file not found in \$PATH'):
        find_binary("")
    with pytest.raises(MeshError, match="no such file, or no program"):
        find_binary("/nowhere/envoy")


def test_its_version(tmp_path: Path) -> None:
    said = "envoy  version: 816188b86a0a52095b116b107f576324082c7c02/1.30.1/Clean/RELEASE/BoringSSL"
    assert version_of(program(tmp_path, f"print('\\n{said}')")) == "1.30.1"


@pytest.mark.parametrize("text", ["print('hello')", "raise SystemExit(3)"])
def test_who_does_not_say_a_version(tmp_path: Path, text: str) -> None:
    with pytest.raises(MeshError, match="Couldn't get envoy version for compatibility check"):
        version_of(program(tmp_path, text))


def test_who_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="Couldn't get envoy version for compatibility check"):
        version_of(str(tmp_path / "none"))


DRAIN = ["--drain-strategy", "immediate", "--drain-time-s", "30"]


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        ([], ["--disable-hot-restart", *DRAIN]),
        (["-l", "debug"], ["--disable-hot-restart", *DRAIN, "-l", "debug"]),
        (["--restart-epoch", "0"], [*DRAIN, "--restart-epoch", "0"]),
        (["--drain-time-s=5"], [*DRAIN[:2], "--drain-time-s=5"]),
        (["--drain-strategy", "gradual"], ["--disable-hot-restart", *DRAIN[2:], "--drain-strategy", "gradual"]),
    ],
)
def test_hot_restart_is_off_and_connections_end_unless_it_is_said_otherwise(
    passed: list[str], words: list[str]
) -> None:
    assert arguments("/bin/envoy", "/dev/fd/9", passed) == ["/bin/envoy", "--config-path", "/dev/fd/9", *words]


def test_the_bootstrap_is_read_by_a_descriptor(tmp_path: Path) -> None:
    shows = "import json, sys; p = sys.argv[2]; print(json.dumps([sys.argv[1:], open(p).read(), open(p).read()]))"
    binary = program(tmp_path, shows)
    secret = "a-secret-token " * 20_000
    script = (
        "import sys; from meshagent.agent.cli.envoy_process import exec_envoy\n"
        "exec_envoy(sys.argv[1], ['-l', 'debug'], sys.stdin.read())"
    )
    line = [sys.executable, "-c", script, binary]
    done = subprocess.run(line, input=secret, capture_output=True, text=True, check=True)
    words, first, again = json.loads(done.stdout)
    assert first == again == secret
    assert words[0] == "--config-path"
    assert words[1].startswith("/dev/fd/")
    assert words[2:] == ["--disable-hot-restart", *DRAIN, "-l", "debug"]
    assert not [path for path in os.listdir(tmp_path) if path != "envoy"]


def test_what_is_no_program(tmp_path: Path) -> None:
    script = "import sys; from meshagent.agent.cli.envoy_process import exec_envoy\nexec_envoy(sys.argv[1], [], '{}')"
    path = tmp_path / "text"
    path.write_text("#!/nowhere/interpreter")
    path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert f"failed to exec {path}: No such file or directory" in done.stderr
