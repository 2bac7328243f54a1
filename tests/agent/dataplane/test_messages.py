"""Google's library reads what we write and writes what we read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest import protos

from meshagent.agent.dataplane import messages
from meshagent.errors import RemoteProtocolError

READ = {
    "BOOTSTRAP_PARAMS_REQUEST": "GetEnvoyBootstrapParamsRequest",
    "WATCH_SERVERS": "WatchServersRequest",
    "LOGIN_REQUEST": "LoginRequest",
    "LOGOUT_REQUEST": "LogoutRequest",
    "SIGN_REQUEST": "SignRequest",
    "QUERY": "QueryRequest",
}


def filled(name: str) -> Any:
    """A message with something in each field."""
    found = protos.message(name)()
    for field in found.DESCRIPTOR.fields:
        if field.message_type is not None:
            getattr(found, field.name).update({"pod": "default/web"})
        else:
            value = {9: f"a {field.name}", 12: b"\x00\xff", 8: True, 5: 2}[field.type]
            setattr(found, field.name, value)
    return found


@pytest.mark.parametrize(("schema", "name"), READ.items())
def test_what_google_writes_is_read(schema: str, name: str) -> None:
    sent = filled(name)
    read = getattr(messages, schema).decode(sent.SerializeToString())
    for field in sent.DESCRIPTOR.fields:
        given = getattr(sent, field.name)
        assert getattr(read, field.name) == (dict(given) if field.message_type is not None else given)


def test_features() -> None:
    ours = messages.FEATURES.encode(messages.Features((messages.Feature(1, True), messages.Feature(4, False))))
    read = protos.answered("GetSupportedDataplaneFeatures").FromString(ours)
    assert [(one.feature_name, one.supported) for one in read.supported_dataplane_features] == [(1, True), (4, False)]


def test_servers() -> None:
    ours = messages.SERVERS.encode(messages.Servers((messages.Server("id", "10.0.0.1", "1.20.1"),)))
    [read] = protos.answered("WatchServers").FromString(ours).servers
    assert (read.id, read.address, read.version) == ("id", "10.0.0.1", "1.20.1")


def test_a_login() -> None:
    ours = messages.LOGIN_RESPONSE.encode(messages.LoginResponse(messages.LoginToken("a", "s")))
    read = protos.answered("Login").FromString(ours).token
    assert (read.accessor_id, read.secret_id) == ("a", "s")
    assert "s'" not in repr(messages.LoginToken("a", "s"))


def test_roots() -> None:
    rotated = messages.timestamp_of("2026-11-27T18:00:00.25Z")
    root = messages.Root("id", "name", 2**64 - 1, "ab:cd", "PEM", ("A", "B"), True, rotated)
    read = protos.answered("WatchRoots").FromString(messages.ROOTS.encode(messages.Roots("id", "td.consul", (root,))))
    assert (read.active_root_id, read.trust_domain) == ("id", "td.consul")
    [one] = read.roots
    assert (one.id, one.serial_number, one.signing_key_id, one.active) == ("id", 2**64 - 1, "ab:cd", True)
    assert list(one.intermediate_certs) == ["A", "B"]
    assert one.rotated_out_at.ToJsonString() == "2026-11-27T18:00:00.250Z"
    assert messages.timestamp_of("") is None


def test_signed_and_dns() -> None:
    signed = protos.answered("Sign").FromString(messages.SIGN_RESPONSE.encode(messages.SignResponse("PEM")))
    assert signed.cert_pem == "PEM"
    assert protos.answered("Query").FromString(messages.REPLY.encode(messages.Reply(b"\x00"))).msg == b"\x00"


@given(data=st.binary(max_size=200), schema=st.sampled_from(sorted(READ)))
def test_any_bytes_are_read_or_refused(data: bytes, schema: str) -> None:
    try:
        getattr(messages, schema).decode(data)
    except RemoteProtocolError:
        pass
