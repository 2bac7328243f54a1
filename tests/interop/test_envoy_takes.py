"""A real Envoy takes what is rendered, whatever is registered and configured (surface rows X5, X8, X9, X12)."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from meshtest.certificates import make_ca, make_leaf
from meshtest.envoystatic import refusal
from meshtest.envoyworld import snapshot_of
from meshtest.meshdraws import sidecars

from meshagent.connect.envoy.render import render
from meshagent.connect.peers import Trust
from meshagent.connect.snapshot import ProxySnapshot

AUTHORITY = make_ca()
ROOT = AUTHORITY.pem.decode()
CERTIFICATE, KEY = (one.decode() for one in make_leaf(AUTHORITY, "web.example"))


def real(snapshot: ProxySnapshot) -> ProxySnapshot:
    """With certificates that can be read."""
    trusts = tuple(msgspec.structs.replace(one, roots=(ROOT,)) for one in snapshot.trusts)
    return msgspec.structs.replace(snapshot, roots=(ROOT,), leaf_chain=CERTIFICATE, leaf_key=KEY, trusts=trusts)


@settings(
    max_examples=20, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(sidecars())
def test_sidecars(tmp_path: Path, snapshot: ProxySnapshot) -> None:
    assert refusal(render(real(snapshot)), tmp_path) == ""


def test_callers_of_other_trust_domains(tmp_path: Path) -> None:
    trusts = (Trust("east", "east.consul", (ROOT,), incoming=True), Trust("west", "west.consul", (ROOT,), True))
    assert refusal(render(real(msgspec.structs.replace(snapshot_of(), trusts=trusts))), tmp_path) == ""


def test_what_it_does_not_take_is_told(tmp_path: Path) -> None:
    rootless = msgspec.structs.replace(real(snapshot_of()), roots=("no certificate",))
    assert "CA" in refusal(render(rootless), tmp_path)
