"""What `troubleshoot proxy` finds, one thing wrong at a time."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from meshagent.connect.diagnosis import Facts, diagnose, find_upstream, upstream_names

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TARGET = "db.default.default.dc1"
CHAIN = {"protocol": "tcp", "start": f"resolver:{TARGET}", "targets": {TARGET: {"service": "db"}}}
UPSTREAM: dict[str, Any] = {
    "name": "db", "address": "127.0.0.1", "port": 9191, "socket_path": "", "chain": CHAIN, "problem": "",
}  # fmt: skip
SNAPSHOT: dict[str, Any] = {
    "proxy_id": "web-proxy", "service": "web", "leaf_valid": ["2026-01-01T00:00:00+00:00", "2026-01-04T00:00:00+00:00"],
    "outbound": [UPSTREAM], "clusters": {TARGET: {"endpoints": [{"address": "10.0.0.2", "port": 21000}]}},
}  # fmt: skip
FACTS = Facts(
    snapshot=SNAPSHOT, upstream=UPSTREAM, now=NOW, edges=[{"denied": 2}], listener="", reached={"10.0.0.2:21000": ""},
    decision=(True, "intention"), root_ends=[datetime(2036, 1, 1, tzinfo=UTC)],
)  # fmt: skip


def wrong(**changes: Any) -> list[str]:
    return [found.text for found in diagnose(msgspec.structs.replace(FACTS, **changes)) if not found.good]


def test_nothing_is_wrong() -> None:
    assert [found.text for found in diagnose(FACTS)] == [
        "Certificates are valid, the leaf until 2026-01-04T00:00:00+00:00",
        "The sidecar answers; it has denied 2 connection(s)",
        'Listener for upstream "db" found at 127.0.0.1:9191',
        f'Route for upstream "db" found (tcp, resolver:{TARGET})',
        f'1 healthy instance(s) of "{TARGET}"',
        "Intentions allow web to talk to db (intention)",
    ]
    assert wrong() == []


@pytest.mark.parametrize(
    ("valid", "found"),
    [
        (["", ""], "There is no leaf certificate yet"),
        (["2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"], "begins only at"),
        (["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"], "ended at"),
        (["2026-01-01T00:00:00Z", "2026-01-02T00:30:00Z"], "ends at"),
    ],
)
def test_certificates(valid: list[str], found: str) -> None:
    [text] = wrong(snapshot={**SNAPSHOT, "leaf_valid": valid})
    assert found in text


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"root_ends": [NOW]}, "No root certificate is valid"),
        ({"root_ends": []}, "No root certificate is valid"),
        ({"edges": None}, "No sidecar of this user answers"),
        ({"listener": "Connection refused"}, 'Listener for upstream "db" at 127.0.0.1:9191: Connection refused'),
        ({"reached": {"10.0.0.2:21000": "timed out"}}, "Instance 10.0.0.2:21000: timed out"),
        ({"decision": (False, "default deny")}, "Intentions do not allow web to talk to db (default deny)"),
        ({"upstream": {**UPSTREAM, "chain": None, "problem": "a loop"}}, 'Upstream "db" has no route: a loop'),
        ({"snapshot": {**SNAPSHOT, "clusters": {}}}, f'No healthy instance of "{TARGET}"'),
    ],
)
def test_one_thing_is_wrong_and_says_what_to_do(changes: dict[str, Any], found: str) -> None:
    [bad] = [one for one in diagnose(msgspec.structs.replace(FACTS, **changes)) if not one.good]
    assert found in bad.text
    assert bad.action


def test_what_may_not_be_asked_is_said() -> None:
    assert "was not asked" in diagnose(msgspec.structs.replace(FACTS, decision=None))[-1].text


def test_upstreams_are_found_by_name_and_address() -> None:
    virtual = {**UPSTREAM, "name": "api", "address": "", "port": 0, "virtual_ips": ["240.0.0.1"], "chain": None}
    snapshot = {**SNAPSHOT, "outbound": [UPSTREAM, virtual]}
    assert upstream_names(snapshot) == (["db"], [(["240.0.0.1"], "api")])
    assert find_upstream(snapshot, "db", "") is UPSTREAM
    assert find_upstream(snapshot, "", "240.0.0.1") is virtual
    assert find_upstream(snapshot, "", "10.0.0.2") is UPSTREAM
    assert find_upstream(snapshot, "", "127.0.0.1") is UPSTREAM
    assert find_upstream(snapshot, "zork", "") is None
    assert find_upstream(snapshot, "", "10.9.9.9") is None
    reached = [found.text for found in diagnose(msgspec.structs.replace(FACTS, upstream=virtual, listener=None))]
    assert 'Upstream "api" is reached at 240.0.0.1 in transparent mode' in reached
