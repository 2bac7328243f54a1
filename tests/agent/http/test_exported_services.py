"""`/v1/exported-services` (surface row ES1)."""

from __future__ import annotations

import json

from meshtest.httpapi import Api


async def test_wildcards_are_spread_out_and_peers_sorted(api: Api) -> None:
    assert (await api.ask("GET", "/v1/exported-services")).text == "[]"
    for name in ("b", "a"):
        body = json.dumps({"Node": "n", "Address": "10.0.0.1", "Service": {"Service": name}}).encode()
        assert (await api.ask("PUT", "/v1/catalog/register", body=body)).text == "true"
    services = [{"Name": "*", "Consumers": [{"Peer": "q"}, {"Peer": "p"}]}, {"Name": "b", "Consumers": [{"Peer": "r"}]}]
    body = json.dumps({"Kind": "exported-services", "Name": "default", "Services": services}).encode()
    assert (await api.ask("PUT", "/v1/config", body=body)).text == "true"
    assert (await api.ask("GET", "/v1/exported-services")).json == [
        {"Service": "a", "Consumers": {"Peers": ["p", "q"]}},
        {"Service": "b", "Consumers": {"Peers": ["p", "q", "r"]}},
    ]
    assert [row["Service"] for row in (await api.ask("GET", "/v1/exported-services?filter=Service==b")).json] == ["b"]
