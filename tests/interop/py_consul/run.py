"""I/O edge: `make py-consul`: py-consul's own tests, as they ship in its source archive, against agents of ours.

The archive of the installed release is fetched with pip, its tests are copied with `world.py` as their conftest, and
run. At the end: how many calls of the library's methods were made, and which public methods none was made of.

Source: pypi.org/project/py-consul. What may change here: `LEFT_OUT`, with reasons.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: Tests that say nothing about an agent of ours -> why.
LEFT_OUT = {
    "test_coordinate_update": "it reads the node's coordinate at once; agents tell theirs after some seconds",
}


def fetch(folder: Path) -> Path:
    """The unpacked source archive of the py-consul that is installed."""
    line = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--no-binary"]
    subprocess.run([*line, "py-consul", f"py-consul=={version('py-consul')}"], cwd=folder, check=True)
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    [root] = [path for path in folder.iterdir() if path.is_dir()]
    return root


def prepare(root: Path, into: Path) -> None:
    """The tests with our world around them; the address of Consul itself, which their checks ask, is that of a stub."""
    shutil.copytree(root / "tests", into / "tests")
    shutil.copy(root / "pyproject.toml", into)  # how their tests are to be run
    shutil.copy(HERE / "world.py", into / "conftest.py")
    shutil.copy(HERE / "rest.py", into / "tests" / "test_rest.py")
    for path in (into / "tests").rglob("*.py"):
        text = path.read_text()
        for own in ('"http://localhost:8500"', '"http://127.0.0.1:8500"'):
            text = text.replace(own, '__import__("os").environ["PY_CONSUL_APP"]')
        path.write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="2")
    parser.add_argument("words", nargs="*", help="for pytest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="py-consul-") as name:
        folder = Path(name)
        (folder / "fetched").mkdir()
        (folder / "run").mkdir()
        (folder / "calls").mkdir()
        prepare(fetch(folder / "fetched"), folder / "run")
        env = {
            **os.environ,
            "PYTHONPATH": str(HERE.parents[1] / "lib"),
            "PY_CONSUL_CALLS": str(folder / "calls"),
        }
        skip = " and ".join(f"not {test}" for test in LEFT_OUT)
        line = [sys.executable, "-P", "-m", "pytest", "-q", "-n", options.workers, "-p", "no:cacheprovider", "--no-cov"]
        done = subprocess.run([*line, "-k", skip, *options.words, "tests"], cwd=folder / "run", env=env, check=False)
        calls: Counter[str] = Counter()
        for path in (folder / "calls").glob("*.json"):
            calls.update(json.loads(path.read_text()))
        methods = json.loads(
            subprocess.run(
                [sys.executable, "-P", "-c", "import conftest, json; print(json.dumps(list(conftest.METHODS)))"],
                cwd=folder / "run", env={**env, "PYTHONPATH": f"{env['PYTHONPATH']}{os.pathsep}."},
                capture_output=True, check=True,
            ).stdout
        )  # fmt: skip
    for test, why in LEFT_OUT.items():
        print(f"left out: {test}: {why}")
    missing = sorted(set(methods) - set(calls))
    print(f"{sum(calls.values())} calls of {len(methods) - len(missing)} of {len(methods)} public methods")
    if missing:
        print(f"never called: {', '.join(missing)}")
    return done.returncode or int(bool(missing))


if __name__ == "__main__":
    raise SystemExit(main())
