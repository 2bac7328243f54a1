"""Surface row C14: the hash of a service's description is Consul's, and tells one description from another."""

from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.content_hash import content_hash

PLAIN = {
    "ID": "plain",
    "Service": "plain",
    "Tags": [],
    "Meta": {},
    "Port": 0,
    "Address": "",
    "Weights": {"Passing": 1, "Warning": 1},
    "EnableTagOverride": False,
    "Datacenter": "dc1",
}


def test_it_is_the_value_a_consul_agent_gave():
    """From tests/data/golden/http/agent-services.json, steps 65 and 67."""
    assert content_hash(PLAIN) == "41377610358c2868"


def test_it_does_not_depend_on_itself_or_on_what_consul_leaves_out():
    assert content_hash(PLAIN | {"ContentHash": "x", "Datacenter": "dc2", "Locality": {"Region": "r"}}) == content_hash(
        PLAIN
    )


def test_everything_else_counts():
    changes = [
        {"Kind": "mesh-gateway"},
        {"Tags": ["a", "b"]},
        {"Tags": ["b", "a"]},
        {"Meta": {"a": "b"}},
        {"Port": -1},
        {"SocketPath": "/x"},
        {"TaggedAddresses": {"lan": {"Address": "a", "Port": 1}}},
        {"TaggedAddresses": {"wan": {"Address": "a", "Port": 1}}},
        {"Weights": {"Passing": 2, "Warning": 1}},
        {"EnableTagOverride": True},
        {"Proxy": {"Config": {"a": 1}}},
        {"Proxy": {"Config": {"a": 1.5}}},
        {"Proxy": {"Config": {"a": None}}},
        {"Proxy": {"Upstreams": [{"DestinationName": "a"}]}},
        {"Connect": {"Native": True}},
    ]
    hashes = [content_hash(PLAIN | change) for change in changes]
    assert len({content_hash(PLAIN), *hashes}) == len(changes) + 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), values, max_size=4))
def test_any_configuration_has_a_hash(config):
    shown = content_hash(PLAIN | {"Proxy": {"Config": config}})
    assert 0 <= int(shown, 16) < 2**64
