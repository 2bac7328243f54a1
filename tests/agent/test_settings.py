"""From configuration to settings (surface rows G12, G18-G22, G27)."""

import dataclasses

import pytest

from meshagent.agent import settings
from meshagent.agent.config import Config, Host, assemble, table_of
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.errors import ConfigError
from meshagent.located import Place


def config(**values) -> Config:
    host = Host(name="n1", interfaces=tuple)
    return assemble([table_of(values.items(), Place("test"))], dev=True, host=host).config


def test_defaults_are_those_of_the_parts():
    """Every part's own defaults are Consul's, and so are the configuration's: they must agree."""
    plain = config(log_level="INFO")
    assert settings.dns_settings(plain) == settings.DnsSettings()
    assert settings.local_settings(plain) == settings.LocalSettings()
    assert settings.check_settings(plain) == settings.CheckSettings()
    assert settings.log_settings(plain) == settings.LogSettings()
    assert settings.metrics_settings(plain) == settings.MetricsSettings()
    raft = dataclasses.replace(RaftSettings(), multiplier=1)
    assert settings.raft_settings(plain) == raft
    http = dataclasses.replace(settings.HttpSettings(), pretty=True, ui_enabled=True, enable_debug=True)
    assert settings.http_settings(plain) == http


def test_dns_options_arrive():
    given = settings.dns_settings(
        config(
            domain="example",
            recursors=["127.0.0.1"],
            dns_config={"service_ttl": {"web": "10s", "*": "5s"}, "only_passing": True, "soa": {"min_ttl": 7}},
        )
    )
    assert given.domain == "example."
    assert given.ttl_of("web") == 10
    assert given.ttl_of("other") == 5
    assert given.only_passing
    assert given.soa.min_ttl == 7
    assert given.recursors == ("127.0.0.1",)


def test_http_options_arrive():
    given = settings.http_settings(
        config(
            http_config={"allow_write_http_from": ["10.0.0.0/8"], "response_headers": {"X-A": "b"}},
            limits={"kv_max_value_size": 10},
            acl={"enabled": True, "default_policy": "deny"},
        )
    )
    assert given.may_write("10.1.2.3")
    assert not given.may_write("192.0.2.1")
    assert given.response_headers == (("X-A", "b"),)
    assert given.kv_max_value_size == 10
    assert given.default_policy == "deny"


def test_metric_prefixes_are_split_by_their_sign():
    given = settings.metrics_settings(config(telemetry={"prefix_filter": ["+consul.raft", "-consul.http"]}))
    assert (given.allow, given.block) == (("consul.raft",), ("consul.http",))


@pytest.mark.parametrize(("text", "mode"), [("0770", 0o770), ("770", 0o770), ("", None), ("rwx", None), ("0999", None)])
def test_socket_modes_are_octal(text, mode):
    assert settings.socket_mode(text) == mode


def test_times_of_removing_critical_services_arrive():
    """G22."""
    given = settings.local_settings(config(check_reap_interval="5s", check_deregister_interval_min="10s"))
    assert (given.check_reap_interval_s, given.check_deregister_min_s) == (5.0, 10.0)


def test_the_authoritys_options_get_the_names_that_the_api_shows():
    given = config(connect={"ca_config": {"leaf_cert_ttl": "36h", "RootCertTTL": "90000h", "other": 1}})
    assert settings.authority_settings(given).config == {"LeafCertTTL": "36h", "RootCertTTL": "90000h", "other": 1}


def test_a_cluster_id_can_be_fixed():
    fixed = "11111111-2222-3333-4444-555555555555"
    given = settings.authority_settings(config(connect={"ca_config": {"cluster_id": fixed}}))
    assert given.cluster_id == fixed
    assert "cluster_id" not in given.config
    assert settings.fixed_cluster_id(config()) == ""
    with pytest.raises(ConfigError, match="cluster_id: 'x' is not a UUID"):
        settings.authority_settings(config(connect={"ca_config": {"cluster_id": "x"}}))


def test_gauges_name_the_host_unless_that_is_turned_off() -> None:
    assert settings.metrics_settings(config(), "box1").hostname == "box1"
    assert settings.metrics_settings(config(telemetry={"disable_hostname": True}), "box1").hostname == ""
