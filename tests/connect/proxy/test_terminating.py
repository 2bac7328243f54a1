"""Files that an entry names are on the gateway's host: whatever they are, it goes on. e2e tests connect."""

from __future__ import annotations

import logging

import pytest

from meshagent.connect.gateways.linked import LinkedService
from meshagent.connect.proxy import terminating


@pytest.mark.parametrize("file", ["/dev/zero", "/no/such/file", "/dev"])
def test_a_file_that_is_none_reaches_nobody(file: str, caplog: pytest.LogCaptureFixture) -> None:
    service = LinkedService(service="legacy", protocol="tcp", intentions=(), upstreams={}, ca_file=file)
    with caplog.at_level(logging.ERROR):
        found = terminating._outside(service)
    assert isinstance(found, terminating._Nobody)
    assert found.wrong(None)
    assert "service=legacy" in caplog.text
