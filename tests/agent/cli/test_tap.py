"""Lines of a tap, for people."""

from __future__ import annotations

from meshagent.agent.cli.tap import line_of
from meshagent.connect.proxy.telemetry.record import Record


def test_a_request() -> None:
    record = Record("outbound", "web", "api", "", 0.0, 0.0125, status=503, method="GET", path="/x", flags="UF", tries=3,
                    upstream="10.0.0.1:80", bytes_out=9)  # fmt: skip
    line = line_of(record.tapped(), False)
    assert "out web -> api" in line
    assert line.split()[5:] == ["503", "12.5ms", "GET", "/x", "0B/9B", "UF", "10.0.0.1:80", "tries=3"]
    assert "\x1b[31m503" in line_of(record.tapped(), True)


def test_a_connection() -> None:
    line = line_of(Record("inbound", "web", "db", "", 0.0, 2.0, bytes_in=4).tapped(), False)
    assert "in  web -> db" in line
    assert line.endswith("ok    2000.0ms  connection  4B/0B")


def test_a_grpc_request() -> None:
    record = Record("inbound", "web", "api", "", 0.0, 0.001, status=200, method="POST", path="/x.Y/Z", grpc_status=14)
    assert "grpc 14" in line_of(record.tapped(), False)
    assert "\x1b[31mgrpc 14" in line_of(record.tapped(), True)


def test_where_it_was_seen() -> None:
    tapped = Record("inbound", "web", "api", "", 0.0, 0.001, status=200, method="GET", path="/").tapped()
    assert line_of({**tapped, "node": "n2"}, False).endswith(" @n2")
