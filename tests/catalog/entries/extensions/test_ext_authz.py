"""Arguments of `builtin/ext-authz`."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.catalog.entries.extensions.arguments import read
from meshagent.catalog.entries.extensions.ext_authz import ExtAuthz

GOOD = {"GrpcService": {"Target": {"URI": "localhost:9191"}}}


def problems(config: dict[str, Any], **more: Any) -> list[str]:
    return read({"ProxyType": "connect-proxy", "Config": config, **more}, ExtAuthz).problems()


def test_the_examples_of_the_documentation() -> None:
    assert problems(GOOD) == []
    assert problems({"HttpService": {"Target": {"Service": {"Name": "authz"}}, "PathPrefix": "/check"}}) == []


@pytest.mark.parametrize(
    ("config", "more", "found"),
    [
        ({}, {}, "exactly one of GrpcService or HttpService must be set"),
        (GOOD | {"HttpService": {"Target": {"URI": "localhost:1"}}}, {}, "exactly one of GrpcService or HttpService"),
        (GOOD | {"StatusOnError": 299}, {}, "StatusOnError: 299 is no status of HTTP"),
        (GOOD | {"WithRequestBody": {}}, {}, "WithRequestBody.MaxRequestBytes must be between 1 and 4294967295"),
        (GOOD, {"InsertOptions": {"Location": "Last"}}, 'unexpected InsertOptions.Location "Last"'),
        (GOOD, {"ListenerType": "both"}, 'unexpected ListenerType "both"'),
        (GOOD, {"ProxyType": "mesh-gateway"}, 'unexpected ProxyType "mesh-gateway"'),
        (
            {"HttpService": {"Target": {"URI": "localhost:1"}, "PathPrefix": "check"}},
            {},
            "HttpService.PathPrefix must begin with '/'",
        ),
        (
            {"HttpService": {
                "Target": {"URI": "localhost:1"},
                "AuthorizationRequest": {"AllowedHeaders": [{"Exact": "a", "Prefix": "b"}]},
            }},
            {},
            "exactly one of Contains, Exact, Prefix, SafeRegex, Suffix must be set",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong(config: dict[str, Any], more: dict[str, Any], found: str) -> None:
    [problem] = problems(config, **more)
    assert problem.startswith(found)
