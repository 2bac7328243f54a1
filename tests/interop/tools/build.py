"""I/O edge: Traefik, consul-esm, Fabio and registrator, built with go into .venv/peers (some minutes, once).

Traefik comes as a Go module. What keeps it from being built as it is (modules that no proxy has) is replaced by what
stands in `traefik/`: lego's list of DNS providers, a library for passwords, an empty extension. The others are
checkouts in a folder that `--sources` names, or are cloned from GitHub.

What may change here: versions, and further tools.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from meshtest import ROOT
from meshtest.peers import BUILT

__all__ = ["build"]

TRAEFIK = "github.com/traefik/traefik/v3"
GITHUB = {"consul-esm": "hashicorp/consul-esm", "fabio": "fabiolb/fabio", "registrator": "gliderlabs/registrator"}
HERE = ROOT / "tests" / "interop" / "tools" / "traefik"


def build(tool: str, sources: Path | None) -> Path:
    """The program, built unless it is there. Raises subprocess.CalledProcessError."""
    program = BUILT / tool
    if program.exists():
        return program
    BUILT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if tool == "traefik":
            _traefik(Path(folder), program)
        else:
            _checkout(tool, sources, Path(folder), program)
    return program


def _go(*words: str, cwd: Path) -> str:
    environ = {**os.environ, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    return subprocess.run(["go", *words], cwd=cwd, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout


def _checkout(tool: str, sources: Path | None, folder: Path, program: Path) -> None:
    source = sources / tool if sources is not None else folder / tool
    if not source.exists():
        address = f"https://github.com/{GITHUB[tool]}"
        subprocess.run(["git", "clone", "-q", "--depth", "1", address, str(source)], check=True)
    _go("build", "-o", str(program), ".", cwd=source)


def _traefik(folder: Path, program: Path) -> None:
    shutil.copytree(HERE, folder / "build")
    work = folder / "build"
    version = json.loads(_go("mod", "edit", "-json", cwd=work))["Require"][0]["Version"]
    module = Path(json.loads(_go("mod", "download", "-json", f"{TRAEFIK}@{version}", cwd=work))["Dir"])
    shutil.copy(module / "go.sum", work / "go.sum")
    (work / "go.sum").chmod(0o644)
    wanted = json.loads(_go("mod", "edit", "-json", str(module / "go.mod"), cwd=work))["Require"]
    lego = next(one for one in wanted if one["Path"] == "github.com/go-acme/lego/v5")
    held = Path(json.loads(_go("mod", "download", "-json", f"{lego['Path']}@{lego['Version']}", cwd=work))["Dir"])
    copy = work / "lego"
    ours = (copy / "dns.go").read_text()
    shutil.rmtree(copy)
    shutil.copytree(held, copy)
    for place in (copy, *copy.rglob("*")):
        place.chmod(place.stat().st_mode | 0o200)
    for file in (copy / "providers/dns").glob("*.go"):
        file.unlink()
    (copy / "providers/dns/dns.go").write_text(ours)
    _go("mod", "edit", "-replace", f"{lego['Path']}=./lego", cwd=work)
    _go("build", "-o", str(program), f"{TRAEFIK}/cmd/traefik", cwd=work)
