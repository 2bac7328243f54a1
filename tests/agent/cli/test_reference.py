from typing import Any

from meshagent.agent.cli.table import SUBCOMMANDS


def test_the_command_reference_has_every_command(cli: Any) -> None:
    ran = cli("reference cli")
    assert ran.status == 0
    for row in SUBCOMMANDS:
        assert f"\n## meshagent {row.path}\n" in ran.out
    assert "-http-addr=<value>" in ran.out


def test_the_http_reference_has_every_endpoint(cli: Any) -> None:
    out = cli("reference http").out
    assert "| `GET /v1/catalog/nodes` |" in out
    assert out.startswith("# HTTP API\n")


def test_the_config_reference_has_every_option(cli: Any) -> None:
    out = cli("reference config").out
    assert "bootstrap_expect" in out


def test_others_are_named(cli: Any) -> None:
    assert cli("reference").err == "Name a reference: config, http, cli\n"
    assert cli("reference zork").err == "there is no reference zork: use config, http, cli\n"
