"""Layer 4: counted always, told when somebody listens."""

from __future__ import annotations

import random

from meshagent.connect.proxy.telemetry.connections import Connections
from meshagent.connect.proxy.telemetry.observer import Observer
from meshagent.connect.proxy.telemetry.record import Record

WEB = "spiffe://td.consul/ns/default/dc/dc1/svc/web"


def observer() -> Observer:
    return Observer(lambda: 100.0, lambda: 1000.0, random.Random(1))


def test_a_connection_in_and_its_end() -> None:
    seen = observer()
    records: list[Record] = []
    seen.access_log = records.append
    seen.changed()
    inbound = Connections(seen, "inbound", "api", "api")
    one = inbound.joined(WEB, audited=True)
    assert (one.series.edge, one.series.active, one.series.audited) == (("inbound", "web", "api", ""), 1, 1)
    inbound.ended(one, 5, 7, "reset")
    assert (one.series.active, one.series.connections, one.series.bytes_in, one.series.bytes_out) == (0, 1, 5, 7)
    (record,) = records
    assert (record.source, record.bytes_out, record.detail, record.peer_identity) == ("web", 7, "reset", WEB)


def test_a_gateway_speaks_for_the_service_behind_it() -> None:
    seen = observer()
    inbound = Connections(seen, "inbound", "out", "legacy")
    assert inbound.joined(WEB).series.edge == ("inbound", "web", "legacy", "")


def test_one_without_tls_says_so() -> None:
    seen = observer()
    records: list[Record] = []
    seen.access_log = records.append
    seen.changed()
    inbound = Connections(seen, "inbound", "api", "api")
    inbound.ended(inbound.joined(tls=False), 5, 7, "")
    (record,) = records
    assert (record.source, record.tls, record.detail) == ("", "none", "tls=none")
    assert record.tapped()["tls"] == "none"


def test_one_that_was_refused_stands_in_the_log_unless_it_must_not() -> None:
    seen = observer()
    records: list[Record] = []
    inbound = Connections(seen, "inbound", "api", "api")
    inbound.refused("192.0.2.1:5", "", "no certificate")  # nobody listens
    seen.access_log = records.append
    seen.changed()
    inbound.refused("192.0.2.1:5", WEB, "intention")
    seen.logs_refused = False
    inbound.refused("192.0.2.1:5", "", "no certificate")
    (record,) = records
    assert (record.source, record.peer_address, record.detail) == ("web", "192.0.2.1:5", "intention")


def test_who_is_denied_and_what_fails() -> None:
    seen = observer()
    inbound, outbound = Connections(seen, "inbound", "api", "api"), Connections(seen, "outbound", "web", "api")
    inbound.denied(WEB)
    inbound.denied("no spiffe id")
    outbound.failed("", "no healthy instance")
    counts = {series.edge[:3]: (series.denied, series.failed) for series in seen.book.all()}
    assert counts == {
        ("inbound", "web", "api"): (1, 0), ("inbound", "(other)", "api"): (1, 0), ("outbound", "web", "api"): (0, 1),
    }  # fmt: skip
