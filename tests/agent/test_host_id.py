"""Node ids from the hardware (surface row G10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshagent.agent import host_id
from meshagent.agent.config import Config
from meshagent.agent.host_id import host_node_id, make_node_id, spread
from meshagent.ids import is_uuid

MACHINE = "3b4c1a52-0d4f-4f2e-8a53-111111111111"


def test_the_firmware_is_asked_before_the_operating_system(tmp_path: Path) -> None:
    firmware, system = tmp_path / "product_uuid", tmp_path / "machine-id"
    places = (str(firmware), str(system))
    assert host_node_id(places) is None
    system.write_text("0123456789abcdef0123456789abcdef\n")
    assert host_node_id(places) == spread("01234567-89ab-cdef-0123-456789abcdef")
    firmware.write_text(MACHINE.upper() + "\n")
    assert host_node_id(places) == spread(MACHINE)
    firmware.write_text("Not Settable")
    assert host_node_id(places) == spread("01234567-89ab-cdef-0123-456789abcdef")
    system.write_bytes(b"\xff")
    assert host_node_id(places) is None


def test_it_is_taken_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_id, "host_node_id", lambda: MACHINE)
    assert make_node_id(Config()) != MACHINE
    assert make_node_id(Config(disable_host_node_id=False)) == MACHINE
    monkeypatch.setattr(host_id, "host_node_id", lambda: None)
    assert is_uuid(make_node_id(Config(disable_host_node_id=False)))


def test_similar_machines_have_ids_far_apart() -> None:
    assert spread(MACHINE) == "4131a02f-2e71-bc2c-8418-e03187e93955"
    assert spread(MACHINE)[:8] != spread(MACHINE[:-1] + "2")[:8]
