"""A record as a tap shows it."""

from meshagent.connect.proxy.telemetry.record import Record


def test_headers_stay_here() -> None:
    record = Record("inbound", "web", "api", "", 1.0, 0.00123, request_headers=[(b"authorization", b"secret")])
    assert "secret" not in str(record.tapped())
    assert record.tapped()["duration_ms"] == 1.23
    assert record.request_header(b"authorization") == "secret"
    assert record.request_header(b"none") == ""
