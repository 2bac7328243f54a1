"""The test suite of Consul's own Go client (github.com/hashicorp/consul/api, MPL-2.0), run against meshagent.

Its tests start `consul agent -config-file ...` again and again and drive every endpoint; here `consul` is a script that
starts meshagent. The modules are fetched by go into a directory of their own, nothing of them is kept. One line of
their test server is changed there: it polls for its whole time limit also when the agent has answered.

Source: our own. What may change here: the version, and `LEFT_OUT`, of which each has its reason.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "lib"))

from meshtest.certificates import make_ca, make_leaf

API, SDK = "github.com/hashicorp/consul/api@v1.30.0", "github.com/hashicorp/consul/sdk@v0.16.1"
#: Test -> why it cannot pass here.
LEFT_OUT = {
    "TestAPI_ClientTLSOptions": "asyncio ends a handshake that failed without TLS's alert: the client sees an end",
    "TestAPI_RawV2ExportedServices": "the v2 resource API, a preview that Consul has withdrawn",
    "TestAPI_DebugTrace": "a trace of Go's runtime",
    "TestAPI_ConnectCAConfig_get_set": "a key `test_state` that only Consul's test build knows",
}
#: What the loop of `waitForAPI` lacks, and its time limit of two seconds, too short for a busy machine.
ANSWERED = (
    "\t\tresp.Body.Close()\n\n\t\tfailed = false\n\t}",
    "\t\tresp.Body.Close()\n\n\t\tfailed = false\n\t\tbreak\n\t}",
)
LIMIT = (
    "timer := retry.TwoSeconds()",
    "timer := &retry.Timer{Timeout: 60 * time.Second, Wait: 25 * time.Millisecond}",
)


def _module(name: str, into: Path) -> None:
    shown = subprocess.run(
        ["go", "mod", "download", "-json", name], check=True, capture_output=True, text=True, cwd=into.parent
    )
    shutil.copytree(json.loads(shown.stdout)["Dir"], into)
    for path in into.rglob("*"):
        path.chmod(path.stat().st_mode | 0o200)


def _certificates(folder: Path) -> None:
    """Those that its tests look for beside the module, which does not ship them."""
    ca = make_ca()
    for name in ("client_certs/rootca.crt", "hostname/CertAuth.crt", "ca_path/cert1.crt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ca.pem)
    for name in ("client_certs/server", "client_certs/client", "hostname/Alice"):
        chain, key = make_leaf(ca, "consul.test", "server.dc1.consul", "localhost", "127.0.0.1")
        (folder / f"{name}.crt").write_bytes(chain)
        (folder / f"{name}.key").write_bytes(key)


def _build(work: Path) -> Path:
    api, sdk, binary = work / "api", work / "sdk", work / "api.test"
    _module(API, api)
    _module(SDK, sdk)
    _certificates(work / "test")
    server = sdk / "testutil/server.go"
    text = server.read_text()
    for old, new in (ANSWERED, LIMIT):
        if old not in text:
            raise SystemExit(f"{server.name} of {SDK} is not what this script knows")
        text = text.replace(old, new, 1)
    server.write_text(text)
    subprocess.run(["go", "mod", "edit", "-replace", f"{SDK.partition('@')[0]}={sdk}"], check=True, cwd=api)
    subprocess.run(["go", "test", "-c", "-o", str(binary), "."], check=True, cwd=api)
    return binary


def _shim(work: Path) -> Path:
    directory = work / "bin"
    directory.mkdir()
    consul = directory / "consul"
    consul.write_text(f'#!/bin/sh\nexec {Path(sys.executable).parent / "meshagent"} "$@"\n')
    consul.chmod(0o755)
    return directory


def main() -> int:
    """Run them; 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default=".", help="only tests that match this expression")
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="write the whole output there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="go-client-") as directory:
        work = Path(directory)
        binary = _build(work)
        skipped = "|".join(f"^{name}$" for name in LEFT_OUT)
        argv = [str(binary), "-test.v", f"-test.run={options.run}", f"-test.skip={skipped}"]
        argv.append(f"-test.parallel={options.parallel}")
        environ = {**os.environ, "PATH": f"{_shim(work)}:{os.environ['PATH']}", "TMPDIR": str(work)}
        passed, failed, lines = 0, [], []
        with subprocess.Popen(
            argv, cwd=work / "api", env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                lines.append(line)
                if found := re.match(r"--- (PASS|FAIL): (\S+) (\S+)", line):
                    print(f"{found[1]} {found[2]} {found[3]}", flush=True)
                    passed += found[1] == "PASS"
                    failed += [found[2]] if found[1] == "FAIL" else []
        if options.keep:
            options.keep.write_text("".join(lines))
        for name, reason in LEFT_OUT.items():
            print(f"left out {name}: {reason}")
        print(f"{passed} tests of the Go client passed, {len(failed)} failed, {len(LEFT_OUT)} left out")
        for name in failed:
            print(f"failed: {name}")
        return 1 if failed or running.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
