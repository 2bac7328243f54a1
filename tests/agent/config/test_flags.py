from __future__ import annotations

import re
from typing import Any

import pytest

from meshagent.agent.config import Config, Host, flag_source, flags, load
from meshagent.errors import ConfigError

#: Surface row CL1.
CL1 = set(
    re.findall(
        r"\S+",
        """
-dev -server -bootstrap-expect -bootstrap -data-dir -config-file -config-dir -config-format -hcl -node -node-id
-node-meta -datacenter -bind -client -advertise -advertise-wan -retry-join -retry-interval -retry-max -retry-join-wan
-join -encrypt -disable-keyring-file -ui -ui-dir -ui-content-path -domain -alt-domain -recursor -dns-port -http-port
-https-port -grpc-port -grpc-tls-port -server-port -serf-lan-port -serf-wan-port -serf-lan-bind -serf-wan-bind
-serf-lan-allowed-cidrs -serf-wan-allowed-cidrs -enable-script-checks -enable-local-script-checks
-check_output_max_size -log-level -log-json -log-file -log-rotate-bytes -log-rotate-duration -log-rotate-max-files
-syslog -pid-file -rejoin -protocol -raft-protocol -primary-gateway -allow-write-http-from -default-query-time
-max-query-time -auto-reload-config -disable-host-node-id
""",
    )
)


def test_every_flag_of_upstream_is_there_once() -> None:
    names = [name for flag in flags() for name in flag.names]
    assert set(names) >= CL1
    assert len(names) == len(set(names))
    assert all(flag.help and flag.type in {"string", "bool", "int", "duration"} for flag in flags())


def test_flags_have_the_type_of_their_option() -> None:
    by_name = {flag.names[0]: flag for flag in flags()}
    assert by_name["-http-port"][1:4] == ("ports.http", "int", False)
    assert by_name["-retry-join"][1:4] == ("retry_join", "string", True)
    assert by_name["-node-meta"][1:4] == ("node_meta", "string", True)
    assert by_name["-ui"][1:4] == ("ui_config.enabled", "bool", False)
    assert by_name["-retry-interval"][1:4] == ("retry_interval", "duration", False)
    assert by_name["-dev"].key == "@dev"


def _load(values: dict[str, Any], **options: Any) -> Config:
    return load(flags={"data_dir": "/d", "bind_addr": "127.0.0.1", **values}, host=Host("host", list), **options).config


def test_flags_override_fragments_and_lists_append() -> None:
    config = _load(
        {
            "node_name": "n",
            "ports.http": 1234,
            "node_meta": ["a:b", "c:d:e"],
            "retry_join": ("x", "y"),
            "retry_interval": "5s",
            "ui_config.enabled": True,
            "datacenter": None,
            "recursors": [],
            "@dev": False,
        },
        hcl=['node_name = "other" retry_join = ["w"]', "ports { dns = 53 }"],
    )
    assert (config.node_name, config.ports.http, config.ports.dns) == ("n", 1234, 53)
    assert config.node_meta == {"a": "b", "c": "d:e"}
    assert config.retry_join == ("w", "x", "y")
    assert (config.retry_interval, config.ui_config.enabled, config.datacenter) == (5.0, True, "dc1")


def test_a_bad_flag_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        _load({"ports.http": 70_000, "retry_interval": "x"}, hcl=["a = "])
    assert error.value.problems == [
        "flag -hcl #1:1:5: expected a value, found the end of the file",
        "flag -http-port: ports.http: must be between -1 and 65535, not 70000",
        'flag -retry-interval: retry_interval: time: invalid duration "x"; write it like "10s" or "1h30m"',
    ]


def test_nothing_given_is_an_empty_source() -> None:
    assert flag_source({"node_name": None}) == {}
