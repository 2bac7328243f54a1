"""Where resources come from."""

from __future__ import annotations

from meshagent.connect.envoy.sources import ads


def test_the_patience_is_what_the_proxy_says() -> None:
    assert ads({}) == {"ads": {}, "resource_api_version": "V3"}
    assert ads({"xds_fetch_timeout_ms": 2500})["initial_fetch_timeout"] == "2.5s"
    assert "initial_fetch_timeout" not in ads({"xds_fetch_timeout_ms": "soon"})
