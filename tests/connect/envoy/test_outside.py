"""Servers outside of the mesh that an Envoy asks."""

from __future__ import annotations

from meshagent.connect.envoy import outside, wire
from meshagent.connect.envoy.resources import CLUSTER


def test_without_tls() -> None:
    found = outside.server("keys", "http://10.0.0.1/x")
    assert found == {
        "name": "keys",
        "type": "STRICT_DNS",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "keys",
            "endpoints": [
                {
                    "lb_endpoints": [
                        {"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}}}
                    ]
                }
            ],
        },
    }
    assert wire.encode(found, CLUSTER)


def test_with_tls_somebody_vouches_always() -> None:
    for given, expected in ((None, outside.SYSTEM), ({"trusted_ca": {"filename": "/x"}},) * 2):
        found = outside.server("keys", "https://idp:70000/x", kind="STATIC", connect_timeout_ns=10**9, validation=given)
        context = found["transport_socket"]["typed_config"]
        assert context["common_tls_context"]["validation_context"] == expected
        assert (context["sni"], found["type"], found["connect_timeout"]) == ("idp", "STATIC", "1s")
