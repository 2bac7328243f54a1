"""The dialler: connects, tries again with growing pauses, says why it does not get through, numbers what it gets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from meshagent.catalog.rpc.client import Dialler, epochs
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security, load_security
from meshagent.clock import SystemClock
from meshagent.errors import Unavailable

from .conftest import Counts, Node, Pki, Scenario, World, until

Play = Callable[[Scenario], None]
SERVER_NAME = "server.dc1.consul"


def dial(address: str, *, security: Security | None = None, counts: Counts | None = None, **options: Any) -> Dialler:
    identity = options.pop("identity", Identity("id-d", "d", "dc1", "c1"))
    dialler = Dialler(
        address,
        identity=lambda: identity,
        security=lambda: security or Security(),
        clock=SystemClock(),
        rng=random.Random(1),
        metrics=counts or Counts(),
        epochs=options.pop("epochs", epochs()),
        settings=options.pop("settings", RpcSettings(redial_longest_s=0.1, handshake_timeout_s=1)),
        **options,
    )
    dialler.start()
    return dialler


def test_each_connection_has_a_higher_number_whatever_happened_between(play: Play) -> None:
    async def scenario(world: World) -> None:
        bob = world.spawn("bob")
        numbers = epochs()
        changes: list[tuple[bool, int]] = []
        dialler = dial(bob.address, epochs=numbers, on_change=lambda d: changes.append((d.link is not None, d.epoch)))
        await until(lambda: dialler.link)
        (link,) = bob.server.links
        assert link.peer is not None
        assert link.peer.epoch == dialler.epoch == 1
        await world.stop(bob)
        await until(lambda: not dialler.link)
        await until(lambda: dialler.last_failure and dialler.last_failure[0] is Reason.UNREACHABLE)
        assert dialler.epoch == 1  # still that of the last connection there was
        next(numbers)  # another dialler of this process tries, too
        again = world.spawn("bob", port=int(bob.address.split(":")[1]))
        await until(lambda: dialler.link)
        assert dialler.epoch > 3
        assert [up for up, _ in changes] == [True, False, True]
        (link,) = again.server.links
        assert link.peer is not None
        assert link.peer.epoch == dialler.epoch
        await dialler.stop()
        assert [up for up, _ in changes] == [True, False, True, False]

    play(scenario)


TLS_CASES: list[tuple[str, dict[str, Any], Reason]] = [
    ("expired", {"expired": True}, Reason.CERTIFICATE),
    ("strange authority", {"authority": "strange"}, Reason.CERTIFICATE),
    ("another name", {"names": ["server.dc2.consul"]}, Reason.CERTIFICATE),
]


@pytest.mark.parametrize(("leaf", "reason"), [case[1:] for case in TLS_CASES], ids=[case[0] for case in TLS_CASES])
def test_a_server_with_a_wrong_certificate_is_not_talked_to(
    play: Play, pki: Pki, leaf: dict[str, Any], reason: Reason
) -> None:
    async def scenario(world: World) -> None:
        leaf_options = dict(leaf)
        names = leaf_options.pop("names", [SERVER_NAME])
        wrong = replace(pki.leaf(*names, **leaf_options), verify_incoming=False)
        bob = world.spawn("bob", security=load_security(wrong))
        counts = Counts()
        dialler = dial(bob.address, security=load_security(pki.leaf(SERVER_NAME)), counts=counts)
        await until(lambda: counts["rpc.refused", reason] >= 2)  # it keeps trying: certificates are replaced
        assert dialler.link is None
        assert dialler.last_failure is not None
        assert dialler.last_failure[0] is reason
        await until(lambda: bob.counts["rpc.refused", Reason.LOST] >= 1)  # asyncio sends no alert
        await dialler.stop()

    play(scenario)


def test_one_with_a_wrong_certificate_learns_why(play: Play, pki: Pki) -> None:
    """With TLS 1.3 the listener refuses after the dialler believes to be connected."""

    async def scenario(world: World) -> None:
        bob = world.spawn("bob", security=load_security(pki.leaf(SERVER_NAME)))
        expired = dial(bob.address, security=load_security(pki.leaf(SERVER_NAME, expired=True)))
        await until(lambda: bob.counts["rpc.refused", Reason.CERTIFICATE] >= 1)
        await until(lambda: expired.last_failure)
        assert expired.link is None
        assert expired.last_failure is not None
        assert expired.last_failure[0] in {Reason.CERTIFICATE, Reason.LOST, Reason.UNREACHABLE}
        await expired.stop()
        named = dial(bob.address, security=load_security(pki.leaf("client.dc1.consul")))
        await until(lambda: named.last_failure)
        assert named.last_failure is not None
        assert named.last_failure[0] is Reason.NOT_A_SERVER
        await named.stop()

    play(scenario)


def test_tls_and_plain_tcp_do_not_meet(play: Play, pki: Pki) -> None:
    async def scenario(world: World) -> None:
        secure = world.spawn("bob", security=load_security(pki.leaf(SERVER_NAME)))
        plain = world.spawn("eve")
        to_plain = dial(plain.address, security=load_security(pki.leaf(SERVER_NAME)))
        to_secure = dial(secure.address)
        await until(lambda: plain.counts["rpc.refused", Reason.UNEXPECTED_TLS] >= 1)
        await until(lambda: secure.counts["rpc.refused", Reason.PLAIN] >= 1)
        assert to_plain.link is None
        assert to_secure.link is None
        await to_plain.stop()
        await to_secure.stop()

    play(scenario)


def test_another_server_at_the_address_is_not_taken_for_the_one_we_want(play: Play) -> None:
    async def scenario(world: World) -> None:
        bob = world.spawn("bob")
        dialler = dial(bob.address, expected_node_id="id-carol")
        await until(lambda: bob.counts["rpc.refused", Reason.WRONG_NODE] >= 1)
        assert dialler.link is None
        await dialler.stop()

    play(scenario)


def test_a_mute_server_does_not_hold_us(play: Play) -> None:
    async def scenario(world: World) -> None:
        mute = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = mute.sockets[0].getsockname()[1]
        dialler = dial(f"127.0.0.1:{port}", settings=RpcSettings(handshake_timeout_s=0.05, redial_longest_s=60))
        await until(lambda: dialler.last_failure)
        assert dialler.last_failure is not None
        assert dialler.last_failure[0] is Reason.HANDSHAKE_TIMEOUT
        await dialler.stop()
        mute.close()

    play(scenario)


def test_a_nudge_ends_the_pause(play: Play) -> None:
    async def scenario(world: World) -> None:
        bob = world.spawn("bob")
        port = int(bob.address.split(":")[1])
        await world.stop(bob)
        dialler = dial(bob.address, settings=RpcSettings(redial_first_s=3600, redial_longest_s=3600))
        await until(lambda: dialler.last_failure)
        world.spawn("bob", port=port)
        dialler.nudge()
        await until(lambda: dialler.link)
        await dialler.stop()

    play(scenario)


def test_what_is_open_fails_when_the_connection_does(play: Play) -> None:
    async def hang(*_: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def scenario(world: World) -> None:
        bob: Node = world.spawn("bob", methods={"hang": hang})
        dialler = dial(bob.address)
        await until(lambda: dialler.link)
        assert dialler.link is not None
        call = dialler.link.call("hang", b"", 60)
        await until(lambda: bob.counts["rpc.request"] == 1)
        await world.stop(bob)
        with pytest.raises(Unavailable, match="stopping"):
            await call
        await dialler.stop()

    play(scenario)
