"""The words are part of the API."""

from __future__ import annotations

from meshagent.catalog.rpc.reasons import Reason


def test_bad_input_is_told_from_the_end_of_something_that_worked() -> None:
    assert {reason.value for reason in Reason if not reason.refused} == {
        "unreachable",
        "lost",
        "silent",
        "slow_peer",
        "superseded",
        "stopping",
    }
    assert {reason.value for reason in Reason if reason.refused} == {
        "garbage",
        "plain",
        "unexpected_tls",
        "certificate",
        "alpn",
        "not_a_server",
        "wrong_cluster",
        "wrong_datacenter",
        "wrong_node",
        "version",
        "too_many_connections",
        "handshake_timeout",
    }
