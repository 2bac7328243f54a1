"""Which Envoys are spoken to."""

from __future__ import annotations

import pytest

from meshagent.connect.envoy.versions import SUPPORTED, problem


@pytest.mark.parametrize("version", [*SUPPORTED, "1.41.0", "2.0.1", "1.40.1-dev"])
def test_versions_that_are_run(version: str) -> None:
    assert problem(version) == ""


@pytest.mark.parametrize("version", ["1.27.9", "0.9.0"])
def test_older_ones_are_not(version: str) -> None:
    assert problem(version).startswith(f"Envoy version {version} is not supported. If there is a reason")


def test_what_is_no_version() -> None:
    assert "'dev' is no version" in problem("dev")
