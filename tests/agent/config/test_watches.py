from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.config.watches import WATCH_TYPES, Watch
from meshagent.agent.decode import decode


@pytest.mark.parametrize(
    ("raw", "problem"),
    [  # surface rows G40, G41
        ({}, "Watch type must be specified"),
        ({"type": "x"}, f"Unsupported watch type: x; known: {', '.join(WATCH_TYPES)}"),
        ({"type": "key", "args": ["a"]}, "Must specify a key to watch"),
        ({"type": "keyprefix", "args": ["a"]}, "Must specify a prefix to watch"),
        ({"type": "service", "args": ["a"]}, "Must specify a service to watch"),
        ({"type": "checks", "service": "a", "state": "b", "args": ["a"]}, "Cannot specify service and state"),
        ({"type": "nodes", "handler": "a", "args": ["a"]}, "Both the handler and args are defined; only one may be"),
        ({"type": "nodes", "handler_type": "http"}, "Handler type 'http' requires 'http_handler_config' with a path"),
        ({"type": "nodes", "handler_type": "x"}, "Handler type 'x' not recognized"),
        ({"type": "nodes"}, "A watch needs args (or an http handler)"),
        ({"type": "key", "key": "k", "args": ["a"]}, ""),
        ({"type": "event", "handler": "cat"}, ""),
        ({"type": "nodes", "handler_type": "http", "http_handler_config": {"path": "http://a"}}, ""),
    ],
)
def test_each_watch_says_what_it_needs(raw: dict[str, Any], problem: str) -> None:
    assert decode(Watch, raw).problem() == problem


def test_all_fields_are_read() -> None:
    watch = decode(
        Watch,
        {
            "type": "service",
            "service": "web",
            "tag": "v1",
            "passingonly": True,
            "handler_type": "http",
            "http_handler_config": {
                "path": "http://a",
                "timeout": "5s",
                "header": {"X": ["1"]},
                "tls_skip_verify": True,
            },
        },
    )
    assert watch.tag == ("v1",)
    assert watch.passingonly
    assert watch.http_handler_config is not None
    assert (watch.http_handler_config.method, watch.http_handler_config.timeout) == ("POST", 5.0)
    assert decode(Watch, {"type": "service", "service": "web", "tag": ["a", "b"]}).tag == ("a", "b")
