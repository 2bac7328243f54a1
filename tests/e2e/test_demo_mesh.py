"""`meshagent demo mesh`: every chapter happens, and its figures are what the mesh promises."""

from __future__ import annotations

import re
import subprocess

from meshtest.process import meshagent_command


def test_every_chapter_happens() -> None:
    line = [*meshagent_command(), "demo", "-once", "mesh"]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    told = ran.stdout
    for at, chapter in enumerate(
        ("web calls api over mutual TLS", "an intention denies it", "traffic is split 90/10", "an instance breaks",
         "a request is traced through both sidecars", "what was seen can become rules"), 1,
    ):  # fmt: skip
        assert f"\n{at}. {chapter}" in told
    assert "-> 200 hello from api v" in told
    assert re.search(r"proves to be spiffe://[\w.-]+/ns/default/dc/dc1/svc/api", told)
    assert "without a certificate is refused" in told
    assert "-> 403 RBAC: access denied\n" in told
    assert "meshagent intention explain web api: Denied. Matched L4 intention" in told
    split = {name: int(count) for count, name in re.findall(r"(\d+) x (api [^,\n]+)", told.split("3. traffic")[1])}
    assert set(split) >= {"api v1 (a)", "api v2"}
    assert "web saw 0 failures" in told
    trace = told.split("5. a request")[1]
    spans = re.findall(r"└─ (.*?)  +GET /trace -> 200  [0-9.]+ ms  span [0-9a-f]{16}  at 127", trace)
    assert spans == ["web asks v1.api", "api answers web"]
    assert re.search(r"api is told of request [0-9a-f-]{36} by spiffe://.*/svc/web\n", trace)
    assert re.search(r"for api allow web \(seen \d+ times\); deny \*", trace)
