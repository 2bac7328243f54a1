"""`exported-services` (surface row M30): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.exported_services import Consumer, ExportedService, ExportedServices


@golden("exported-services")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_peers_of_a_service() -> None:
    services = (
        ExportedService(name="a", consumers=(Consumer(peer="q"), Consumer(peer="p"))),
        ExportedService(name="a", consumers=(Consumer(peer="p"), Consumer(partition="x"))),
    )
    assert ExportedServices(name="default", services=services).to_peers() == {"a": ("p", "q")}
