"""Names, identities and lifetimes that rows may have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.acl.model import NodeIdentity, ServiceIdentity, TemplatedPolicy
from meshagent.catalog.acl.validation import (
    check_identities,
    check_method_name,
    check_new_id,
    check_policy_name,
    check_role_name,
    expiration,
)
from meshagent.errors import InternalError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["a", "a/b", "A-_9", "x" * 127])
def test_good_policy_names(name: str) -> None:
    check_policy_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a/b/c", "/a", "builtin/x", "x" * 128, "a\n"])
def test_bad_policy_names(name: str) -> None:
    with pytest.raises(InternalError, match="Invalid Policy"):
        check_policy_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 257, "é"])
def test_bad_names_of_roles_and_methods(name: str) -> None:
    with pytest.raises(InternalError, match="Invalid Role"):
        check_role_name(name)
    with pytest.raises(InternalError, match="Invalid Auth Method"):
        check_method_name(name)


def test_an_id_of_ones_own_is_a_uuid_and_not_a_reserved_one() -> None:
    check_new_id("11111111-2222-3333-4444-555555555555", "SecretID")
    for bad in ("zz", "00000000-0000-0000-0000-000000000009"):
        with pytest.raises(InternalError, match="Invalid Token"):
            check_new_id(bad, "SecretID")


@pytest.mark.parametrize(
    ("services", "nodes", "templated", "words"),
    [
        ([ServiceIdentity()], [], [], "missing the service name"),
        ([ServiceIdentity(service_name="Bad")], [], [], "invalid name"),
        ([], [NodeIdentity(node_name="a")], [], "missing the datacenter"),
        ([], [NodeIdentity(datacenter="a")], [], "missing the node name"),
        ([], [NodeIdentity(node_name="Bad!", datacenter="a")], [], "invalid name"),
        ([], [], [TemplatedPolicy(template_name="zork")], "no such ACL templated policy"),
        ([], [], [TemplatedPolicy(template_name="builtin/service")], "Invalid type"),
        ([], [], [TemplatedPolicy(template_name="builtin/service", name="Bad!")], "invalid name"),
    ],
)
def test_identities_that_cannot_be(services, nodes, templated, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InternalError, match=words):
        check_identities("token", services, nodes, templated)


def test_a_local_token_names_no_datacenters() -> None:
    one = ServiceIdentity(service_name="a", datacenters=("dc2",))
    check_identities("token", [one], [], [])
    with pytest.raises(InternalError, match="local token"):
        check_identities("token", [one], [], [], local=True)


def test_lifetimes() -> None:
    assert expiration(0, "", NOW) == ""
    assert expiration(3_600_000_000_000, "", NOW) == "2026-01-01T01:00:00Z"
    later = (NOW + timedelta(hours=2)).isoformat()
    assert expiration(0, later, NOW) == "2026-01-01T02:00:00Z"


@pytest.mark.parametrize(
    ("ttl", "given", "words"),
    [
        (1, "2030-01-01T00:00:00Z", "cannot both be set"),
        (-1, "", "should be > 0"),
        (10**9, "", "cannot be less than 1m0s"),
        (0, "2001-01-01T00:00:00Z", "before CreateTime"),
        (0, "tomorrow", "RFC 3339"),
        (0, "2030-01-01T00:00:00", "RFC 3339"),
        (2**63 * 10**9, "", "too far"),
    ],
)
def test_lifetimes_that_cannot_be(ttl: int, given: str, words: str) -> None:
    with pytest.raises(InternalError, match=words):
        expiration(ttl, given, NOW)


@given(st.integers(-(2**70), 2**70), st.text(max_size=40))
def test_any_lifetime_is_a_time_or_refused(ttl: int, given: str) -> None:
    try:
        found = expiration(ttl, given, NOW)
    except InternalError:
        return
    assert found == "" or datetime.fromisoformat(found) > NOW
