"""What makes a host the same in the next snapshot."""

import msgspec
from meshtest.clusters import endpoints, row

from meshagent.connect.proxy.cluster.host import Host, key_of


def test_weight_and_place_may_change_but_not_the_address() -> None:
    (one,) = endpoints(1)
    assert key_of(row(), one) == key_of(row(), msgspec.structs.replace(one, weight=5, zone="z", status="warning"))
    assert key_of(row(), one) != key_of(row(), msgspec.structs.replace(one, port=81))
    assert key_of(row(), one) != key_of(row("other"), one)


def test_what_it_is_told() -> None:
    (one,) = endpoints(1)
    host = Host(row(), one, 0.0)
    host.active = 3
    host.told(row(), msgspec.structs.replace(one, weight=9))
    assert (host.weight, host.active, host.key, host.target) == (9, 3, "10.0.0.0:80", "api.default.default.dc1")
    assert host.usable
    host.ejected = True
    assert not host.usable
