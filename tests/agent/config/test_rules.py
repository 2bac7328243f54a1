from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent import compatibility
from meshagent.agent.config import Host


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('data_dir = ""', "data_dir cannot be empty"),
        ('datacenter = "a b"', "datacenter can only contain lowercase alphanumeric, - or _ characters, not 'a b'"),
        ('datacenter = ""', "datacenter cannot be empty"),
        ('node_id = "x"', "node_id: 'x' is not a UUID"),
        (
            'node_meta { "a b" = "c" }',
            "node_meta invalid: Couldn't load metadata pair ('a b', 'c'): Key contains invalid",
        ),
        ('locality { zone = "z" }', "locality is invalid: zone cannot be set without region"),
        ("bootstrap_expect = -1", "bootstrap_expect cannot be -1. Must be greater than or equal to zero"),
        ("bootstrap_expect = 3", "'bootstrap_expect > 0' requires 'server = true'"),
        ("bootstrap = true", "'bootstrap = true' requires 'server = true'"),
        ("server = true bootstrap_expect = 3 bootstrap = true", "are mutually exclusive"),
        ("auto_encrypt { allow_tls = true }", "auto_encrypt.allow_tls can only be used on a server."),
        ("server = true auto_encrypt { tls = true }", "auto_encrypt.tls can only be used on a client."),
        (
            "auto_encrypt { tls = true } auto_config { enabled = true }",
            "both auto_encrypt.tls and auto_config.enabled cannot be set to true.",
        ),
        (
            "server = true auto_config { authorization { enabled = true } }",
            "auto_config.authorization.enabled cannot be set without providing a TLS certificate for the server",
        ),
        (
            "server = true auto_config { enabled = true }",
            "auto_config.enabled cannot be set to true for server agents.",
        ),
        ("auto_config { authorization { enabled = true } }", "auto_config.authorization can only be used on a server."),
        ("connect { enable_mesh_gateway_wan_federation = true }", "requires 'server = true'"),
        (
            'server = true retry_join_wan = ["a"] connect { enable_mesh_gateway_wan_federation = true }',
            "'retry_join_wan' is incompatible with",
        ),
        ('primary_gateways = ["a"]', "'primary_gateways' should only be configured in a secondary datacenter"),
        (
            "ports { sidecar_min_port = 5 sidecar_max_port = 4 }",
            "sidecar_min_port cannot be greater than sidecar_max_port",
        ),
        ("ports { serf_lan = 0 }", "ports.serf_lan must be a valid port from 1 to 65535"),
        ("ports { http = 8600 }", "ports.http: 127.0.0.1:8600 is already configured for ports.dns"),
        ("server = true ports { http = 8300 }", "ports.server: 127.0.0.1:8300 is already configured for ports.http"),
        (
            'ports { http = 8301 } bind_addr = "127.0.0.1" client_addr = "0.0.0.0"',
            "ports.serf_lan: 127.0.0.1:8301 is already configured for ports.http",
        ),
        ('encrypt = "!!"', "encrypt has invalid key: it is not base64"),
        ('encrypt = "AAAA"', "encrypt has invalid key: key size must be 16, 24 or 32 bytes, not 3"),
        ('serf_lan_allowed_cidrs = ["x"]', "serf_lan_allowed_cidrs: 'x' is not a network such as 10.0.0.0/8"),
        ('tls { https { cert_file = "c" } }', "tls.https: cert_file and key_file must be given together"),
        ("tls { https { verify_incoming = true } }", "VerifyIncoming set but no CA certificates were provided"),
        ('recursors = ["0.0.0.0"]', "DNS recursor address cannot be 0.0.0.0, :: or [::]"),
        ('http_config { allow_write_http_from = ["x"] }', "http_config.allow_write_http_from: 'x' is not a network"),
        ("cache { entry_fetch_rate = 0 }", "cache.entry_fetch_rate must be strictly positive"),
        ("cache { entry_fetch_max_burst = 0 }", "cache.entry_fetch_max_burst must be strictly positive"),
        ("service {}", "service '': Missing service name"),
        (
            'service { name = "a" check { interval = "1s" } }',
            "service 'a': Invalid check: TTL must be > 0 for TTL checks",
        ),
        (
            'service { name = "a" kind = "mesh-gateway" }',
            "service 'a': Validation failed: 1 error occurred:\n\t* Port must be non-zero for a mesh-gateway",
        ),
        (
            'service { name = "a" check { args = ["x"] interval = "1s" } }',
            "service 'a': Scripts are disabled on this agent; to enable, configure 'enable_script_checks'",
        ),
        ('check { name = "c" args = ["x"] interval = "1s" }', "check 'c': Scripts are disabled on this agent"),
        ('check { ttl = "1s" }', "check '': Missing check name"),
        ('watches = [{ type = "zork" }]', "watch: Unsupported watch type: zork"),
    ],
)
def test_each_rule_names_its_line(configure: Any, text: str, problem: str) -> None:
    problems = configure.problems(text)
    assert len(problems) == 1
    assert problem in problems[0]
    assert problems[0].startswith("b.hcl:1:")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ('node_name = "a_b"', 'Node name "a_b" will not be discoverable via DNS due to invalid characters.'),
        (f'node_name = "{"a" * 64}"', "Valid lengths are between 1 and 63 bytes."),
        ("server = true bootstrap = true", "b.hcl:1:15: bootstrap = true: only ever for a single server"),
        ("server = true bootstrap_expect = 2", "A cluster with 2 servers will provide no failure tolerance."),
        ("server = true bootstrap_expect = 4", "bootstrap_expect is even number"),
        ('enable_script_checks = true client_addr = "0.0.0.0"', "[SECURITY] issue: using enable_script_checks"),
        ('max_query_time = "1s"', "max_query_time is below default_query_time"),
        ("acl { enabled = true }", 'acl.default_policy = "allow" lets everybody do what no rule denies'),
        ('service { name = "a.b" }', 'Service name "a.b" will not be discoverable via DNS'),
    ],
)
def test_what_is_allowed_but_hardly_meant_warns(configure: Any, text: str, warning: str) -> None:
    assert any(warning in found for found in configure.warnings(text))


def test_a_plain_server_has_nothing_to_warn_of(configure: Any) -> None:
    assert configure.warnings("server = true bootstrap_expect = 1") == []
    assert configure.warnings("server = true bootstrap_expect = 3 acl { enabled = false }") == []
    assert configure.warnings("enable_script_checks = true") == []
    assert configure.warnings(dev=True) == []


def test_what_has_no_effect_yet_is_told_once_each_with_what_it_waits_for(
    configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what a source gives other than the default; the preset of -dev gives some too."""
    waiting = (compatibility.Waiting(feature="something", options=("session_ttl_min", "ui_config")),)
    monkeypatch.setattr(compatibility, "WAITING", waiting)
    assert configure.warnings('acl { enabled = true default_policy = "deny" }', dev=True) == []
    assert configure.warnings('session_ttl_min = "11s"') == [
        "b.hcl:1:1: session_ttl_min has no effect yet: it waits for something"
    ]
    assert configure.warnings('session_ttl_min = "11s"', 'session_ttl_min = "12s"') == [
        "c.hcl:1:1: session_ttl_min has no effect yet: it waits for something"
    ]
    assert configure.warnings('ui_config { metrics_provider = "a" }', 'ui_config { metrics_provider = "b" }') == [
        "c.hcl:1:13: ui_config.metrics_provider has no effect yet: it waits for something"
    ]


def test_script_checks_of_files_need_a_permission(configure: Any) -> None:
    """K10."""
    config = configure('enable_local_script_checks = true check { name = "c" args = ["x"] interval = "1s" }')
    assert config.checks[0].kind == "script"


def test_checks_of_files_are_known_by_their_id_or_name(configure: Any) -> None:
    config = configure('check { name = "a" ttl = "1s" } check { id = "i" name = "b" ttl = "1s" service_id = "s" }')
    assert [(check.id, check.name, check.service_id) for check in config.checks] == [("a", "a", ""), ("i", "b", "s")]


@pytest.mark.parametrize("file", ["/gone/agent.log", "/gone/"])
def test_the_folder_of_the_log_file_must_be_there(configure: Any, file: str) -> None:
    """G26."""
    host = Host("host", list, lambda folder: folder == "/gone")
    problems = configure.problems(f'log_file = "{file}"', host=host)
    assert problems == ["b.hcl:1:1: log_file: there is no folder /gone; make it, or change log_file"]
    for fine in ("/there/agent.log", "agent.log"):
        assert configure(f'log_file = "{fine}"', host=host).log_file == fine
