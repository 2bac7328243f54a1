"""Where an Envoy gets a resource from: over the stream it has with its agent.

Source: envoyproxy.io `config.core.v3.ConfigSource`; surface row M71 (`xds_fetch_timeout_ms`). What may change here:
nothing.
"""

from __future__ import annotations

from typing import Any

from meshagent.connect.envoy import durations
from meshagent.connect.envoy.resources import Resource

__all__ = ["ads"]


def ads(config: dict[str, Any]) -> Resource:
    """The stream, with the proxy's own patience where its configuration has one."""
    found: Resource = {"ads": {}, "resource_api_version": "V3"}
    patience = config.get("xds_fetch_timeout_ms")
    if isinstance(patience, int) and not isinstance(patience, bool) and 0 <= patience < 2**31:
        found["initial_fetch_timeout"] = durations.of_milliseconds(patience)
    return found
