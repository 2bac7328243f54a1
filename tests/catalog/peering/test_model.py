from __future__ import annotations

import msgspec
import pytest

from meshagent.catalog.peering.model import ACTIVE, DELETING, TERMINATED, Peering, PeeringSecrets, secret_digest


def test_addresses_that_an_operator_named_win() -> None:
    assert Peering(server_addresses=("a:1",)).addresses == ("a:1",)
    assert Peering(server_addresses=("a:1",), manual_addresses=("b:2",)).addresses == ("b:2",)


@pytest.mark.parametrize(("state", "usable"), [(ACTIVE, True), (DELETING, False), (TERMINATED, False)])
def test_what_has_ended_is_not_used(state: str, usable: bool) -> None:
    assert Peering(state=state).usable is usable


def test_a_digest_does_not_give_the_secret_away() -> None:
    secret = "40e4a748-2192-161a-0510-9bf59fe950b5"
    digest = secret_digest(secret)
    row = PeeringSecrets(id="x", establishment=digest)
    assert secret.encode() not in msgspec.msgpack.encode(row)
    assert secret_digest(secret) == digest != secret_digest(secret.upper())
