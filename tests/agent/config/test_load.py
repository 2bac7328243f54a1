from __future__ import annotations

from pathlib import Path

import pytest

from meshagent.agent.config import Host, load, validate
from meshagent.errors import ConfigError

HOST = Host("host", list)

#: A configuration as people write them (surface rows G10 to G24, K1, M2).
EXAMPLE = """
datacenter = "dc1"
data_dir   = "/opt/mesh"
bind_addr  = "127.0.0.1"
encrypt    = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="
retry_join = ["10.0.0.1", "provider=aws tag_key=mesh tag_value=server"]

ports {
  grpc = 8502
}

dns_config {
  service_ttl {
    "*"   = "10s"
    "web" = "30s"
  }
}

service {
  name = "web"
  port = 80
  tags = ["v1"]
  meta = { version = "1.2" }
  weights { passing = 5 warning = 1 }
  check {
    id       = "web-http"
    http     = "http://localhost/health"
    interval = "10s"
    timeout  = "1s"
    header   = { Host = ["web"] }
  }
  connect {
    sidecar_service {
      proxy {
        upstreams = [
          { destination_name = "db", local_bind_port = 5432, config { connect_timeout_ms = 1000 } },
        ]
        config { envoy_local_cluster_json = <<EOF
{"a": 1}
EOF
        }
      }
    }
  }
}

check {
  id       = "mem"
  name     = "Memory"
  args     = ["/bin/check_mem", "-limit", "256MB"]
  interval = "10s"
}
enable_local_script_checks = true

watches = [
  { type = "key", key = "foo", args = ["/bin/true"] },
]
"""


def test_a_configuration_as_people_write_it(tmp_path: Path) -> None:
    file = tmp_path / "agent.hcl"
    file.write_text(EXAMPLE)
    config, warnings = load([str(file)], host=HOST)
    assert warnings == []
    assert config.dns_config.service_ttl == {"*": 10.0, "web": 30.0}
    (service,) = config.services
    assert service.weights is not None
    assert service.weights.passing == 5
    assert service.all_checks[0].header == {"Host": ("web",)}
    assert service.sidecar is not None
    assert service.sidecar.proxy is not None
    (upstream,) = service.sidecar.proxy.upstreams or ()
    assert upstream.config == {"connect_timeout_ms": 1000}
    assert service.sidecar.proxy.config == {"envoy_local_cluster_json": '{"a": 1}\n'}
    assert config.checks[0].args == ("/bin/check_mem", "-limit", "256MB")
    assert config.watches[0].key == "foo"
    assert validate([str(file)], host=HOST) == []


def test_every_problem_of_every_file_is_told_once(tmp_path: Path) -> None:
    """G2."""
    (tmp_path / "a.hcl").write_text("server = maybe")
    (tmp_path / "b.hcl").write_text('data_dir = "/d"\nbind_addr = "127.0.0.1"\nportz {}\nbootstrap_expect = 3\n')
    problems = [
        f"{tmp_path}/a.hcl:1:10: expected a value, found maybe; a text needs quotes",
        f"{tmp_path}/b.hcl:3:1: invalid config key portz (did you mean 'ports'?)",
        f"{tmp_path}/b.hcl:4:1: 'bootstrap_expect > 0' requires 'server = true'",
    ]
    assert validate([str(tmp_path)], host=HOST) == problems
    with pytest.raises(ConfigError) as error:
        load([str(tmp_path)], host=HOST)
    assert str(error.value) == "\n".join(problems)


def test_dev_needs_no_file() -> None:
    config = load(dev=True, host=HOST).config
    assert (config.dev_mode, config.server, config.node_name) == (True, True, "host")


def test_without_anything_the_data_directory_is_missed() -> None:
    with pytest.raises(ConfigError) as error:
        load(flags={"bind_addr": "127.0.0.1"}, host=HOST)
    assert error.value.problems == ["data_dir cannot be empty"]


def test_a_refusal_carries_the_warnings(tmp_path: Path) -> None:
    """A file that was skipped is why the data directory is missed."""
    file = tmp_path / "agent.bak"
    file.write_text('data_dir = "/d"')
    with pytest.raises(ConfigError) as error:
        load([str(file)], flags={"bind_addr": "127.0.0.1"}, host=HOST)
    assert error.value.problems == ["data_dir cannot be empty"]
    assert error.value.warnings == [
        f"skipping file {file}, extension must be .hcl or .json, or config format must be set"
    ]
