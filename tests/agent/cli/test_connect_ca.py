"""`connect ca get-config|set-config` (surface row CL21)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONFIG = {"Provider": "consul", "Config": {"LeafCertTTL": "72h"}, "ForceWithoutCrossSigning": False}


def test_what_get_config_prints_set_config_takes(cli: Any, stub: Any, tmp_path: Path) -> None:
    stub.answer("connect/ca/configuration", CONFIG)
    ran = cli("connect ca get-config")
    assert json.loads(ran.out) == CONFIG
    assert '\n\t"Config": {' in ran.out
    file = tmp_path / "ca.json"
    file.write_text(ran.out)
    stub.answer("connect/ca/configuration", b"", method="PUT")
    assert cli("connect", "ca", "set-config", "-config-file", str(file)).out == "Configuration updated!\n"
    assert stub.last.json == CONFIG
    cli("connect", "ca", "set-config", f"-config-file={file}", "-force-without-cross-signing")
    assert stub.last.json["ForceWithoutCrossSigning"] is True


def test_what_is_refused(cli: Any, stub: Any, tmp_path: Path) -> None:
    assert cli("connect ca set-config").err == "The -config-file flag is required\n"
    file = tmp_path / "ca.json"
    for text, message in (("zork", "Error parsing"), ("[]", "does not hold an object")):
        file.write_text(text)
        ran = cli("connect", "ca", "set-config", f"-config-file={file}")
        assert ran.status == 1
        assert message in ran.err
