"""Who may ask for an exposed path; the listener itself is in tests/e2e/test_sidecar_options.py."""

from __future__ import annotations

import pytest

from meshagent.connect.exposing import Exposed
from meshagent.connect.proxy.http.exposed import may_ask

CHECK = Exposed("0.0.0.0", 1, "/", "127.0.0.1", 2, sources=("127.0.0.0/8", "::1/128", "10.0.0.5/32"))


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.5", True),
        ("10.0.0.6", False),
        ("::ffff:10.0.0.6", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("zork", False),
    ],
)
def test_a_path_of_a_check_hears_its_host_alone(address: str, may: bool) -> None:
    assert may_ask(CHECK, address) is may
    assert may_ask(Exposed("0.0.0.0", 1, "/", "127.0.0.1", 2), address)
