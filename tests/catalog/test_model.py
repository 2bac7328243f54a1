"""Rows and their names (surface rows O1-O5)."""

import gc

import msgspec
import pytest

from meshagent.catalog import model
from meshagent.catalog.model import Check, CheckDefinition, Node, Proxy, Service, Upstream, consul_name

ROWS = [kind for kind in vars(model).values() if isinstance(kind, type) and issubclass(kind, model.Row)]


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("service_id", "ServiceID"),
        ("tls_skip_verify", "TLSSkipVerify"),
        ("http", "HTTP"),
        ("os_service", "OSService"),
        ("node_meta", "NodeMeta"),
        ("ttl", "TTL"),
    ],
)
def test_names_are_gos(attribute, name):
    assert consul_name(attribute) == name


def test_what_consul_always_writes_is_written_and_the_rest_only_when_set():
    assert msgspec.json.decode(msgspec.json.encode(Service(name="web"))) == {
        "ID": "",
        "Service": "web",
        "Tags": [],
        "Address": "",
        "Meta": None,
        "Weights": {"Passing": 1, "Warning": 1},
        "EnableTagOverride": False,
        "Proxy": {"Mode": "", "MeshGateway": {}, "Expose": {}},
        "Connect": {},
        "PeerName": "",
        "CreateIndex": 0,
        "ModifyIndex": 0,
    }
    assert msgspec.json.decode(msgspec.json.encode(Check(definition=CheckDefinition(tcp="x", tcp_use_tls=True))))[
        "Definition"
    ] == {"TCP": "x", "TCPUseTLS": True}


@pytest.mark.parametrize("row", ROWS)
def test_rows_are_immutable_and_not_walked_by_the_collector(row):
    config = row.__struct_config__
    assert config.frozen
    assert not config.gc


@pytest.mark.parametrize(
    "row",
    [
        Node(name="n", meta={"a": "b"}, tagged_addresses={"lan": "10.0.0.1"}),
        Service(name="s", proxy=Proxy(upstreams=(Upstream(destination_name="d", config={"x": [1, {"y": None}]}),))),
        Check(check_id="c", service_tags=("a",)),
    ],
)
def test_rows_survive_msgpack_and_json(row):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=type(row)) == row
    assert msgspec.json.decode(msgspec.json.encode(row), type=type(row)) == row
    assert not gc.is_tracked(row)
