"""Surface row A1: how single values are shown, and that secrets are not."""

import pytest
from meshtest.inprocess import server_config

from meshagent.agent.debug_fields import duration, hidden, listening, own, plain, render, secret, words


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (plain("datacenter"), "dc1"),
        (plain("retry_join"), []),
        (duration("check_update_interval"), "5m0s"),
        (secret("encrypt"), ""),
        (words("node_name"), ["n1"]),
        (own("server"), "127.0.0.1:8300"),
        (listening("http"), ["tcp://127.0.0.1:8500"]),
        (hidden("connect.ca_config"), {}),
        (5, 5),
        ({"a": plain("node_name")}, {"a": "n1"}),
    ],
)
def test_values(field, value):
    assert render(field, server_config()) == value


@pytest.mark.parametrize("name", ["Token", "X-Consul-Token", "Authorization", "client_secret", "Password", "api_key"])
def test_what_is_named_like_a_secret_is_hidden(name):
    config = server_config(node_meta={name: "s3cret", "rack": "7", "empty-token": ""})
    assert render(plain("node_meta"), config) == {name: "hidden", "rack": "7", "empty-token": ""}
