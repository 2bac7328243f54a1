"""Whom an extension calls."""

from __future__ import annotations

import pytest

from meshagent.catalog.entries.extensions.target import (
    GrpcService,
    RetryBackOff,
    RetryPolicy,
    ServiceName,
    Target,
    local_address,
)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("localhost:9191", ("127.0.0.1", 9191)),
        ("127.0.0.1:9191", ("127.0.0.1", 9191)),
        ("::1:9191", ("::1", 9191)),
        ("[::1]:9191", ("::1", 9191)),
        ("http://localhost:9191/code.wasm", ("127.0.0.1", 9191)),
        ("10.0.0.1:9191", None),
        ("localhost", None),
        ("localhost:x", None),
        ("localhost:70000", None),
    ],
)
def test_addresses_of_this_host(uri: str, place: tuple[str, int] | None) -> None:
    assert local_address(uri) == place


def test_what_is_wrong() -> None:
    assert GrpcService(Target(ServiceName("authz"), timeout="2s")).problems() == []
    assert Target().problems() == ["exactly one of Target.Service or Target.URI must be set"]
    assert Target(ServiceName("authz"), "localhost:1").problems() == [
        "exactly one of Target.Service or Target.URI must be set"
    ]
    assert Target(uri="example.com:1", timeout="x").problems() == [
        'invalid host for Target.URI "example.com:1": expected "localhost:<port>", "127.0.0.1:<port>", or "::1:<port>"',
        'Target.Timeout: "x" is not a duration',
    ]
    assert RetryPolicy(RetryBackOff("0s", "1s")).problems() == ["RetryBackOff.BaseInterval must be more than 0"]
