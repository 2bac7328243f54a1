from __future__ import annotations

import pytest

from meshagent.agent.decode import decode, to_builtins
from meshagent.agent.definitions import CheckDefinition, ServiceCheck
from meshagent.errors import BadRequest

KINDS = {
    "ttl": {"TTL": "10s"},
    "http": {"HTTP": "http://a", "Interval": "10s"},
    "tcp": {"TCP": "a:1", "Interval": "10s"},
    "udp": {"UDP": "a:1", "Interval": "10s"},
    "script": {"Args": ["true"], "Interval": "10s"},
    "docker": {"DockerContainerID": "c", "Args": ["true"], "Interval": "10s"},
    "grpc": {"GRPC": "a:1", "Interval": "10s"},
    "h2ping": {"H2PING": "a:1", "Interval": "10s"},
    "os_service": {"OSService": "ssh", "Interval": "10s"},
    "alias": {"AliasService": "web"},
}


@pytest.mark.parametrize(("kind", "body"), KINDS.items())
def test_the_kind_follows_from_the_fields(kind: str, body: dict[str, object]) -> None:
    check = decode(CheckDefinition, {"Name": "x", **body})
    check.validate()
    assert check.kind == kind
    assert check.runs_commands == (kind in {"script", "docker"})
    assert decode(CheckDefinition, to_builtins(check)) == check


def test_every_field_is_read_in_both_spellings() -> None:
    """K1, K10 to K19: config files write snake_case, API clients Consul's names."""
    snake = {
        "script_args": ["a"],
        "docker_container_id": "c",
        "tls_server_name": "n",
        "tls_skip_verify": True,
        "tcp_use_tls": True,
        "grpc_use_tls": True,
        "h2ping_use_tls": False,
        "os_service": "s",
        "alias_node": "n",
        "success_before_passing": 2,
        "failures_before_warning": 1,
        "deregister_critical_service_after": "1h",
        "output_max_size": 5,
        "disable_redirects": True,
        "service_id": "w",
    }
    consul = {
        "ScriptArgs": ["a"],
        "DockerContainerID": "c",
        "TLSServerName": "n",
        "TLSSkipVerify": True,
        "TCPUseTLS": True,
        "GRPCUseTLS": True,
        "H2PingUseTLS": False,
        "OSService": "s",
        "AliasNode": "n",
        "SuccessBeforePassing": 2,
        "FailuresBeforeWarning": 1,
        "DeregisterCriticalServiceAfter": "1h",
        "OutputMaxSize": 5,
        "DisableRedirects": True,
        "ServiceID": "w",
    }
    check = decode(CheckDefinition, snake)
    assert check == decode(CheckDefinition, consul, snake_case=False)
    assert check.deregister_critical_service_after == 3600.0


def test_thresholds_and_tls_have_consuls_defaults() -> None:
    check = CheckDefinition(name="x", failures_before_critical=3)
    assert check.warns_from == 3
    assert CheckDefinition(failures_before_warning=1, failures_before_critical=3).warns_from == 1
    assert CheckDefinition(h2ping="a:1").h2ping_tls
    assert not CheckDefinition(h2ping="a:1", h2ping_use_tls=False).h2ping_tls


def test_an_alias_cannot_be_timed() -> None:
    with pytest.raises(BadRequest, match=r"^Invalid check: Interval cannot be set for Alias checks$"):
        CheckDefinition(name="x", alias_service="w", http="http://a", interval=1.0).validate()


def test_a_check_inside_a_service_names_its_id_check_id() -> None:
    check = decode(ServiceCheck, {"CheckID": "c", "TTL": "1s"})
    assert check.resolved(id="c", name="n", service_id="s") == CheckDefinition(
        id="c", name="n", service_id="s", ttl=1.0
    )
    assert ServiceCheck().is_empty
    assert not check.is_empty
