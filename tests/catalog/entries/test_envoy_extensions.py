"""Surface section 7.7; the golden texts of CF1."""

from meshagent.catalog.entries.envoy_extensions import extension_problems
from meshagent.catalog.model import EnvoyExtension


def test_a_good_one() -> None:
    arguments = {"Listener": "inbound", "Script": "x", "ProxyType": "connect-proxy"}
    assert extension_problems((EnvoyExtension(name="builtin/lua", arguments=arguments),)) == []
    assert extension_problems(None) == []


def test_property_override_sets_plain_values_only() -> None:
    chosen = {"ResourceType": "cluster", "TrafficDirection": "outbound"}
    patch = {"ResourceFilter": chosen, "Op": "add", "Path": "/connect_timeout", "Value": "1s"}
    problems = extension_problems((EnvoyExtension(name="builtin/property-override", arguments={"Patches": [patch]}),))
    assert problems == [
        "invalid EnvoyExtensions[0][builtin/property-override]: 1 error occurred:\n\t* invalid Patches[0]: "
        "unsupported target field type 'google.protobuf.Duration'\n\n"
    ]


def test_lambda_needs_its_arn() -> None:
    assert "ARN is required" in extension_problems((EnvoyExtension(name="builtin/aws/lambda"),))[0]


def test_shapes_and_constraints_are_looked_at() -> None:
    wrong = EnvoyExtension(
        name="builtin/ext-authz", arguments={"Config": 5}, envoy_version="nope", consul_version="> 1"
    )
    assert extension_problems((wrong, EnvoyExtension())) == [
        "invalid EnvoyExtensions[0][builtin/ext-authz]: 1 error occurred:\n\t* Config: a map is wanted\n\n",
        "invalid EnvoyExtensions[0].EnvoyVersion: Malformed constraint: nope",
        "invalid EnvoyExtensions[1]: Name is required",
    ]
