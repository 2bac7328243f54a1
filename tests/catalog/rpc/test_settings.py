"""When TLS is on (surface row G15), and that limits leave room for each other."""

from __future__ import annotations

import pytest

from meshagent.catalog.raft.messages import MAX_MESSAGE_BYTES
from meshagent.catalog.rpc.frames import MAX_FRAME_BYTES
from meshagent.catalog.rpc.link import HIGH_WATER_BYTES
from meshagent.catalog.rpc.outbox import BURST_BYTES
from meshagent.catalog.rpc.settings import RpcSettings, TlsSettings
from meshagent.catalog.rpc.writes import MAX_BATCH_BYTES


@pytest.mark.parametrize(
    ("tls", "listens", "dials"),
    [
        (TlsSettings(), False, False),
        (TlsSettings(ca_file="ca.pem"), False, False),
        (TlsSettings(cert_file="a", key_file="b"), True, True),
        (TlsSettings(ca_file="ca.pem", verify_outgoing=True), False, True),
        (TlsSettings(ca_file="ca.pem", verify_server_hostname=True), False, True),
    ],
)
def test_tls_is_on_where_it_is_configured(tls: TlsSettings, listens: bool, dials: bool) -> None:
    assert (tls.listens, tls.dials) == (listens, dials)


def test_limits_leave_room_for_what_must_pass() -> None:
    settings = RpcSettings()
    assert MAX_FRAME_BYTES > MAX_MESSAGE_BYTES + 16
    assert BURST_BYTES <= HIGH_WATER_BYTES
    assert settings.max_in_flight_bytes > MAX_BATCH_BYTES
    assert settings.ping_after_s + settings.ping_timeout_s <= 30  # what Consul's multiplexer takes to notice
