from __future__ import annotations

import json
from typing import Any

import pytest

from meshagent.agent.config import Config, flags, reference, shown


@pytest.mark.parametrize("format", ["markdown", "text"])
def test_the_reference_names_every_option_and_flag(format: str) -> None:
    text = reference(format)
    for key, option in Config.every_option():
        assert key in text
        assert option.help.replace("|", "\\|") in text
    for flag in flags():
        assert flag.key.startswith("@") or flag.names[0] in text
    assert "One of `allow`, `deny`." in text
    assert "From 1 to 10." in text
    assert "Formerly `acl_datacenter`." in text


def test_values_are_shown_without_secrets(configure: Any) -> None:
    config = configure(
        'acl { tokens { agent = "s3cret" } } encrypt = "AAAAAAAAAAAAAAAAAAAAAA==" '
        'service { name = "a" token = "s3cret" } recursors = ["1.1.1.1"]'
    )
    values = shown(config)
    assert "s3cret" not in json.dumps(values)
    assert "AAAA" not in json.dumps(values)
    assert values["acl.tokens.agent"] == "hidden"
    assert values["acl.tokens.default"] == ""
    assert values["recursors"] == ["1.1.1.1"]
    assert values["services"][0]["Token"] == "hidden"
