"""The table of kinds of proxies."""

from __future__ import annotations

import pytest

from meshagent.catalog.entries.table import CONFIG_ENTRIES as ENTRIES
from meshagent.catalog.model import Proxy, Service
from meshagent.connect.central import MERGED_KINDS
from meshagent.connect.kinds import KINDS, entry_kinds, identity_of


def test_every_kind_is_one_that_is_registered() -> None:
    assert KINDS.keys() <= MERGED_KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_entries_of_a_kind_exist(kind: str) -> None:
    assert set(entry_kinds(kind)) <= set(ENTRIES)


def test_a_gateway_stands_for_itself_and_a_sidecar_for_its_service() -> None:
    assert identity_of(Service(kind="ingress-gateway", name="edge")) == "edge"
    sidecar = Service(kind="connect-proxy", name="p", proxy=Proxy(destination_service_name="web"))
    assert identity_of(sidecar) == "web"


def test_what_is_no_proxy_reads_nothing() -> None:
    assert entry_kinds("") == ()
