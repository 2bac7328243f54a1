"""I/O edge: what Envoy's administration interface shows.

Source: envoyproxy.io "Administration interface". What may change here: further pages.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from meshagent.agent.cli.output import fail
from meshagent.connect.envoy.bootstrap import split_bind
from meshagent.connect.envoy.findings import Seen
from meshagent.errors import BadRequest

__all__ = ["look"]

_TIMEOUT_S = 10.0
#: The most that one page may have: a mesh of thousands of endpoints.
_MOST_BYTES = 256 << 20
_PAGES = {
    "certs": "/certs",
    "stats": "/stats?format=json",
    "dump": "/config_dump?include_eds",
    "clusters": "/clusters?format=json",
}


def look(endpoint: str) -> Seen:
    """All pages that a person needs who looks for a mistake; `endpoint` is host:port."""
    try:
        host, port = split_bind("-envoy-admin-endpoint", endpoint)
    except BadRequest as error:
        raise fail(str(error)) from None
    pages = {name: _page(host or "127.0.0.1", port, path) for name, path in _PAGES.items()}
    return Seen(**pages, now=datetime.now(UTC))  # noqa: TID251  a person's terminal


def _page(host: str, port: int, path: str) -> dict[str, Any]:
    from meshagent.agent.cli.connection import NotHttp, plain

    connection = plain(host, port, _TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_MOST_BYTES)
        if answer.status != 200:
            raise fail(f"Envoy's administration interface at {host}:{port} answers {path} with {answer.status}")
        found = json.loads(body)
    except (OSError, NotHttp) as error:
        said = getattr(error, "strerror", None) or error
        raise fail(f"no Envoy answers at {host}:{port}: {said}; say where with -envoy-admin-endpoint") from None
    except ValueError:
        raise fail(f"what answers at {host}:{port} is no Envoy: {path} is not JSON") from None
    finally:
        connection.close()
    return found if isinstance(found, dict) else {}
