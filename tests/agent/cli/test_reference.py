from typing import Any

from meshagent.agent.cli.reference import endpoint
from meshagent.agent.cli.table import SUBCOMMANDS
from meshagent.agent.http.routes import load_routes
from meshagent.metrics_names import DECLARED


def test_the_command_reference_has_every_command(cli: Any) -> None:
    ran = cli("reference cli")
    assert ran.status == 0
    for row in SUBCOMMANDS:
        assert f"\n## meshagent {row.path}\n" in ran.out
    assert "-http-addr=<value>" in ran.out


def test_the_http_reference_has_every_endpoint(cli: Any) -> None:
    out = cli("reference http").out
    assert "| `GET /v1/catalog/nodes` | all nodes | built | node:read | CT4 |" in out
    assert "| `GET /v1/query/<name>/execute` |" in out
    for route in load_routes():
        (line,) = [line for line in out.splitlines() if f"| `{endpoint(route)}` |" in line]
        assert ("| not built yet |" in line) == (not route.built)
    assert out.startswith("# HTTP API\n")


def test_the_config_reference_has_every_option(cli: Any) -> None:
    out = cli("reference config").out
    assert "bootstrap_expect" in out


def test_others_are_named(cli: Any) -> None:
    assert cli("reference").err == "Name a reference: config, http, cli, metrics\n"
    assert cli("reference zork").err == "there is no reference zork: use config, http, cli, metrics\n"


def test_the_metrics_reference_has_every_metric(cli: Any) -> None:
    out = cli("reference metrics").out
    for row in DECLARED:
        assert f"\n| `{row.name}` | {row.kind} | {row.help} |\n" in out
