"""Surface row A1: the configuration under Consul's names. Its shape is a golden scenario; here the values."""

import json
from pathlib import Path

from meshtest.inprocess import server_config

from meshagent.agent.config import Listen, Network
from meshagent.agent.debug_config import debug_config
from meshagent.agent.definitions import CheckDefinition, ServiceDefinition

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "http" / "agent-self-shape.json"


def keys(value, path=""):
    """Every key of nested objects, as paths."""
    if not isinstance(value, dict):
        return set()
    return {f"{path}.{key}" for key in value} | {
        inner for key, held in value.items() for inner in keys(held, f"{path}.{key}")
    }


def test_it_has_every_key_of_a_consul_agent():
    wanted = json.loads(GOLDEN.read_text())["steps"][0]["response"]["json"]["DebugConfig"]
    missing = keys(wanted) - keys(debug_config(server_config()))
    assert not {key for key in missing if not key.startswith(".TaggedAddresses.")}


def test_it_is_json_whatever_is_configured():
    config = server_config(
        services=(ServiceDefinition(name="web", port=80),),
        checks=(CheckDefinition(name="c", ttl=10.0),),
        node_meta={"rack": "7"},
        recursors=("8.8.8.8",),
    )
    shown = json.loads(json.dumps(debug_config(config)))
    assert shown["Services"][0]["Name"] == "web"
    assert shown["Checks"][0]["TTL"] == "10s"
    assert shown["NodeMeta"] == {"rack": "7"}


def test_durations_are_gos_and_addresses_urls():
    shown = debug_config(server_config())
    assert shown["CheckUpdateInterval"] == "5m0s"
    assert shown["DNSAddrs"] == ["tcp://127.0.0.1:8600", "udp://127.0.0.1:8600"]
    assert shown["HTTPAddrs"] == ["tcp://127.0.0.1:8500"]
    unix = server_config(network=Network(http=(Listen(path="/run/mesh.sock"),)))
    assert debug_config(unix)["HTTPAddrs"] == ["unix:///run/mesh.sock"]


def test_secrets_are_hidden():
    config = server_config()
    tokens = config.acl.tokens.replace(default="s3cret", agent="s3cret", initial_management="s3cret")
    config = config.replace(
        acl=config.acl.replace(tokens=tokens),
        encrypt="s3cret",
        connect=config.connect.replace(ca_config={"token": "s3cret"}),
        telemetry=config.telemetry.replace(circonus_api_token="s3cret"),
        tls=config.tls.replace(https=config.tls.https.replace(key_file="s3cret")),
        services=(ServiceDefinition(name="web", token="s3cret"),),
    )
    shown = debug_config(config)
    assert shown["ACLTokens"]["ACLDefaultToken"] == "hidden"
    assert shown["EncryptKey"] == "hidden"
    assert "s3cret" not in json.dumps(shown)


def test_prefix_filters_are_split_by_sign():
    config = server_config()
    config = config.replace(telemetry=config.telemetry.replace(prefix_filter=("+consul.a", "-consul.b")))
    telemetry = debug_config(config)["Telemetry"]
    assert telemetry["AllowedPrefixes"] == ["consul.a"]
    assert telemetry["BlockedPrefixes"] == ["consul.rpc.server.call", "consul.b"]
