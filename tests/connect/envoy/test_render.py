"""The table of renderers."""

from __future__ import annotations

import msgspec
import pytest
from meshtest.envoyworld import snapshot_of

from meshagent.connect.envoy.render import RENDERERS, render


def test_a_kind_has_a_row() -> None:
    assert render(snapshot_of()) == RENDERERS["connect-proxy"](snapshot_of())
    with pytest.raises(KeyError):
        render(msgspec.structs.replace(snapshot_of(), kind="typical"))
