from __future__ import annotations

from typing import Any

import pytest
from meshtest.httpapi import Api
from meshtest.inprocess import InProcess

NODE = {"Node": "x", "Address": "1.1.1.1"}
BAD_ID = "zzzzzzzz-2192-161a-0510-9bf59fe950b5"
NO_SERVICE = "Unknown service ID 'missing' for check ID 'c'"


def service(**fields: Any) -> dict[str, Any]:
    return {**NODE, "Service": fields}


async def test_ct1_node_service_and_checks_at_once(api: Api) -> None:
    body = {
        **NODE,
        "NodeMeta": {"rack": "r1"},
        "Service": {"Service": "web", "Port": 80, "Tags": ["a"]},
        "Check": {"Name": "alive", "Status": "passing"},
        "Checks": [
            {"CheckID": "c", "Name": "web", "ServiceID": "web", "Definition": {"HTTP": "http://x/", "Interval": "10s",
             "Timeout": 2000000000, "DeregisterCriticalServiceAfter": "1h"}},
        ],
    }  # fmt: skip
    assert (await api.put("/v1/catalog/register", body)).json is True
    (entry,) = (await api.get("/v1/health/service/web")).json
    assert entry["Node"]["Meta"] == {"rack": "r1"}
    assert entry["Service"]["ID"] == "web"
    node_check, own = entry["Checks"]
    assert (node_check["CheckID"], node_check["Status"], node_check["Type"]) == ("alive", "passing", "")
    assert (own["Status"], own["Type"], own["ServiceName"], own["ServiceTags"]) == ("critical", "http", "web", ["a"])
    assert own["Definition"] == {
        "HTTP": "http://x/", "Interval": "10s", "Timeout": "2s", "DeregisterCriticalServiceAfter": "1h0m0s",
    }  # fmt: skip


async def test_c7_keys_match_without_regard_to_case(api: Api) -> None:
    await api.put("/v1/catalog/register", {"node": "x", "ADDRESS": "1.1.1.1", "service": {"service": "s", "port": 1}})
    assert (await api.get("/v1/catalog/service/s")).json[0]["ServicePort"] == 1


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 500, "Must provide node"),
        ({"Node": "x"}, 500, "Must provide address if SkipNodeUpdate is not set"),
        ({**NODE, "ID": "short"}, 500, "Bad node ID: uuid string is wrong length"),
        ({**NODE, "ID": BAD_ID}, 500, "Bad node ID: encoding/hex: invalid byte: U+007A 'z'"),
        ({**NODE, "ID": "0" * 36}, 500, "Bad node ID: uuid is improperly formatted"),
        (service(ID="only"), 500, "Must provide service name (Service.Service) when service ID is provided"),
        ({**NODE, "Foo": 1}, 400, 'Request decode failed: json: unknown field "Foo"'),
        (
            {**NODE, "Namespace": "default"},
            400,
            'Request decode failed: json: unknown field "Namespace" - Namespaces are a Consul Enterprise feature',
        ),
        (b"not json", 400, "Request decode failed: invalid character 'o' in literal null (expecting 'u')"),
        (b"", 400, "Request decode failed: EOF"),
        ([], 400, "Request decode failed: json: cannot unmarshal array into Go value of type structs.RegisterRequest"),
        (
            service(Service="a", Port="80"),
            400,
            "Request decode failed: json: cannot unmarshal string into Go struct field NodeService.Service.Port"
            " of type int",
        ),
        (
            service(Service="p", Kind="connect-proxy", Port=1),
            500,
            "1 error occurred:\n\t* Proxy.DestinationServiceName must be non-empty for Connect proxy services\n\n",
        ),
        ({**NODE, "Check": {"Name": "c", "ServiceID": "missing"}}, 500, NO_SERVICE),
        (
            {**NODE, "Check": {"Node": "other", "Name": "c"}},
            500,
            "Node 'other' for check 'c' doesn't match register request node 'x'",
        ),
        ({**NODE, "Datacenter": "dc9"}, 500, "No path to datacenter"),
    ],
)  # fmt: skip
async def test_ct1_refusals(api: Api, body: Any, status: int, text: str) -> None:
    answer = await api.put("/v1/catalog/register", body)
    assert (answer.status, answer.text) == (status, text)
    assert (await api.get("/v1/catalog/nodes")).json == []


@pytest.mark.parametrize(
    "body",
    [
        service(),
        service(Service="k", Kind="strange"),
        service(Service="w", Weights={"Passing": -1, "Warning": 1}),
        {**NODE, "Check": {"Name": "c", "Status": "bogus"}},
        {"Node": "x", "SkipNodeUpdate": True},
    ],
)
async def test_ct1_what_consul_lets_pass(api: Api, body: Any) -> None:
    assert (await api.put("/v1/catalog/register?dc=dc9", body)).json is True


async def test_ct1_indexes_of_the_body_do_not_count(api: Api) -> None:
    await api.put("/v1/catalog/register", service(ID="s", Service="s", Meta={"a": "b"}, CreateIndex=99, ModifyIndex=99))
    row = (await api.get("/v1/catalog/service/s")).json[0]
    assert row["CreateIndex"] == row["ModifyIndex"] == api.agent.store.index


async def test_ct2_deregister(api: Api) -> None:
    await api.put("/v1/catalog/register", {**service(ID="s", Service="s"), "Check": {"CheckID": "c", "Name": "c"}})
    for body, left in (
        ({"Node": "x", "CheckID": "c"}, (0, 1, 1)),
        ({"Node": "x", "ServiceID": "s"}, (0, 0, 1)),
        ({"Node": "x"}, (0, 0, 0)),
        ({"Node": "nope", "Address": "10.0.0.1"}, (0, 0, 0)),  # the Go client sends it
    ):
        assert (await api.put("/v1/catalog/deregister", body)).json is True
        tables = api.agent.store.registrations
        assert (len(tables.checks), len(tables.services), len(tables.nodes)) == left
    assert (await api.put("/v1/catalog/deregister", {"ServiceID": "s"})).text == "Must provide node"
    assert (await api.put("/v1/catalog/deregister", {"Node": "x", "Zork": 1})).status == 400


async def test_o6_no_destination_type_is_filled_in(api: Api) -> None:
    upstreams = [{"DestinationName": "db", "LocalBindPort": 1}, {"DestinationName": "c", "DestinationType": "service"}]
    proxy = {"DestinationServiceName": "web", "Upstreams": upstreams}
    body = service(Service="web-proxy", Kind="connect-proxy", Port=1, Proxy=proxy)
    assert (await api.put("/v1/catalog/register", body)).status == 500  # the second has no port
    upstreams[1]["LocalBindPort"] = 2
    assert (await api.put("/v1/catalog/register", body)).json is True
    found = (await api.get("/v1/catalog/service/web-proxy")).json[0]["ServiceProxy"]["Upstreams"]
    assert [upstream["DestinationType"] for upstream in found] == ["", "service"]


@pytest.mark.parametrize(("passing", "warning"), [(0, 0), (0, 5), (1, -1), (65536, 1), (1, 65536)])
async def test_weights_that_cannot_be_are_the_default(live: InProcess, passing: int, warning: int) -> None:
    """Go's client always sends weights, zeros where nobody gave any: consul-k8s registers every pod so."""
    service = {"Service": "web", "Port": 80, "Weights": {"Passing": passing, "Warning": warning}}
    await live.put("/v1/catalog/register", {"Node": "n", "Address": "10.0.0.1", "Service": service})
    [row] = await live.get("/v1/catalog/service/web")
    assert row["ServiceWeights"] == {"Passing": 1, "Warning": 1}
