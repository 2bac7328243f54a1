"""The generated pages are as new as their tables, and the table of what has no effect yet is true."""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter

import pytest
from meshtest import ROOT

sys.path.insert(0, str(ROOT / "docs"))
import entry_fields
import generate
import in_use
import surface

from meshagent.agent import compatibility
from meshagent.agent.cli.table import SUBCOMMANDS
from meshagent.agent.config import Config
from meshagent.agent.http.routes import load_routes

IN_USE = in_use.options_in_use()
RELOADED = in_use.options_reloaded()
EVERY = dict(Config.every_option())
#: Options that the code reads although they have no effect (yet): what it does with them.
TOLD = {
    "tls.https.verify_outgoing": "given to the HTTPS listener with the rest, which does not look at it",
}


@pytest.mark.parametrize("name", generate.PAGES)
def test_the_page_is_as_new_as_its_tables(name: str) -> None:
    path = ROOT / "docs" / name
    assert path.exists(), "run: python docs/generate.py"
    assert path.read_text() == generate.page(name), "run: python docs/generate.py"


@pytest.mark.parametrize("key", EVERY)
def test_an_option_has_an_effect_or_says_what_it_waits_for(key: str) -> None:
    waits = compatibility.waits_for(key)
    if EVERY[key].inert:
        assert key not in IN_USE or key in TOLD, f"{IN_USE[key]} depend on it: it is not inert"
    elif not waits:
        assert key in IN_USE, "nothing depends on it: add it to agent/compatibility.py, or connect it"
    elif key in IN_USE:
        assert key in TOLD, f"{IN_USE[key]} depend on it: take it off agent/compatibility.py"


@pytest.mark.parametrize("key", [key for key in EVERY if EVERY[key].reload and not EVERY[key].inert])
def test_what_a_reload_takes_is_handed_on(key: str) -> None:
    """That it has an effect is what tests/e2e/test_reload.py is for."""
    assert key in RELOADED or compatibility.waits_for(key), "Daemon.reload does not hand it on"


def test_only_what_a_reload_takes_can_need_one_by_hand() -> None:
    assert [key for key, option in EVERY.items() if option.by_hand and not option.reload] == []


def test_what_is_only_told_is_read_and_waits() -> None:
    for key in TOLD:
        assert key in IN_USE, f"{key} is not read any more: take it off TOLD"
        assert compatibility.waits_for(key) or EVERY[key].inert, f"{key} has an effect: take it off TOLD"


class TestWaiting:
    def test_every_entry_is_an_option_or_a_group(self) -> None:
        for row in compatibility.WAITING:
            for entry in row.options:
                assert entry in EVERY or any(key.startswith(f"{entry}.") for key in EVERY), entry

    def test_nothing_waits_for_two_features(self) -> None:
        claims = Counter(
            key
            for key in EVERY
            for row in compatibility.WAITING
            if any(key == entry or key.startswith(f"{entry}.") for entry in row.options)
        )
        assert [key for key, times in claims.items() if times > 1] == []

    def test_every_feature_has_something_that_waits(self) -> None:
        assert all(row.options for row in compatibility.WAITING)


def test_notes_are_about_rows_that_are_built() -> None:
    there = {route.row for route in load_routes() if route.built} | {row.path for row in SUBCOMMANDS}
    assert set(generate.NOTES) <= there


def test_differences_name_a_row_and_give_a_reason() -> None:
    rows = tomllib.loads((ROOT / "docs" / "differences.toml").read_text())["difference"]
    assert rows
    for one in rows:
        assert set(one) == {"row", "what", "reason"}
        assert re.fullmatch(r"[A-Z]{1,2}\d+", one["row"])
        assert all(one.values())
    names = [one["row"] for one in rows]
    assert names == sorted(names, key=lambda name: (re.sub(r"\d", "", name), int(re.sub(r"\D", "", name))))


def test_what_is_said_of_fields_of_config_entries_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = entry_fields.executed()
    assert found["service-router"]["Routes.Match.HTTP.PathExact"] == "meshagent/connect/proxy/http/matching.py"
    assert found["service-resolver"]["Failover.Namespace"] == ""
    names = entry_fields._names

    def fewer(module: str) -> frozenset[str]:
        return names(module) - {"path_exact"}

    monkeypatch.setattr(entry_fields, "_names", fewer)
    with pytest.raises(ValueError, match=r"does not read .*PathExact"):
        entry_fields.executed()


def test_reasons_are_given_for_fields_that_are_not_executed_only() -> None:
    found, executed = entry_fields.reasons(), entry_fields.executed()
    assert found["mesh"]["ValidateClusters"] == "Envoy's own"
    assert "Meta" not in found["service-defaults"], "which is executed"
    assert not any(executed[kind][path] for kind, fields in found.items() for path in fields)


def test_the_keys_of_a_proxys_configuration_are_documented() -> None:
    text = (ROOT / "meshagent/connect/proxy/README.md").read_text()
    for module in ("snapshot", "observing"):
        source = (ROOT / f"meshagent/connect/{module}.py").read_text()
        keys = set(re.findall(r'\((?:config, )"([a-z_]+)"', source)) | set(
            re.findall(r'config\.get\("([a-z_]+)"', source)
        )
        assert keys, module
        assert not {key for key in keys if f"`{key}`" not in text}


class TestSurface:
    """docs/surface.toml: every row is shown by something or says why it is not built, and never both."""

    ROWS = [number for _, rows in surface.sections() for number, _ in rows]

    def test_every_row_is_there_once(self) -> None:
        assert [number for number, count in Counter(self.ROWS).items() if count > 1] == []
        assert set(surface.open_rows()) <= set(self.ROWS)

    def test_what_is_not_built_is_not_shown_either(self) -> None:
        shown, waiting = surface.evidence(), surface.open_rows()
        assert [number for number in self.ROWS if number not in shown and number not in waiting] == []
        assert [number for number in waiting if number in shown] == []

    def test_what_is_pointed_at_exists(self) -> None:
        assert [path for path in surface.by_hand() if not (ROOT / path).exists()] == []
