"""Two clusters over a wire in memory: the keeper with its sessions and acceptor, on virtual time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from meshtest.peer_clusters import PeerCluster

from meshagent.agent.peering import keeper as keeping
from meshagent.agent.peering.keeper import client_context
from meshagent.agent.peering.stream import SILENCE_S
from meshagent.agent.peering.token import decode_token
from meshagent.errors import Unavailable

Pair = tuple[PeerCluster, PeerCluster]


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    """alpha exports and accepts, beta dials."""
    alpha, beta = PeerCluster(), PeerCluster()
    monkeypatch.setattr(keeping, "dial", alpha.dial)
    await alpha.start()
    await beta.start()
    yield alpha, beta
    await beta.stop()
    await alpha.stop()


async def advance(pair: Pair, seconds: float) -> None:
    """Both clusters' time, in small steps, so that what one says reaches the other in between."""
    step = min(0.05, seconds)
    for _ in range(round(seconds / step)):
        for cluster in pair:
            await cluster.inside.clock.advance(step)


async def until(pair: Pair, condition: Callable[[], Any], within_s: float = 200.0) -> None:
    for _ in range(int(within_s / 0.05)):
        if condition():
            return
        await advance(pair, 0.05)
    raise AssertionError(f"not within {within_s} virtual seconds")


async def peered(
    pair: Pair,
    *exported: str,
    external: tuple[str, ...] = ("10.0.0.1:8503",),
    dial: Any = None,
    patch: pytest.MonkeyPatch | None = None,
) -> str:
    """Both peer; the token. `dial` takes the place of dialing with `patch`."""
    alpha, beta = pair
    for name in ("web", "db"):
        body = {"Node": "n9", "Address": "10.0.0.9", "Service": {"Service": name, "Port": 80}}
        await alpha.put("/v1/catalog/register", body)
    await export(alpha, *(exported or ("web",)))
    if patch is not None:
        patch.setattr(keeping, "dial", dial)
    given = {"PeerName": "beta", "ServerExternalAddresses": list(external)}
    token: str = (await alpha.post("/v1/peering/token", given)).json["PeeringToken"]
    answer = await beta.post("/v1/peering/establish", {"PeerName": "alpha", "PeeringToken": token})
    assert answer.status == 200, answer.text
    return token


async def export(cluster: PeerCluster, *names: str) -> None:
    services = [{"Name": name, "Consumers": [{"Peer": "beta"}]} for name in names]
    await cluster.put("/v1/config", {"Kind": "exported-services", "Name": "default", "Services": services})


def imported(cluster: PeerCluster, peer: str = "alpha") -> list[str]:
    return cluster.store.imported.service_names(peer)


async def state(cluster: PeerCluster, peer: str) -> str:
    found = await cluster.inside.ask("GET", f"/v1/peering/{peer}")
    return str(found.json["State"]) if found.status == 200 else ""


async def test_services_and_roots_arrive(pair: Pair) -> None:
    alpha, beta = pair
    await peered(pair)
    await until(pair, lambda: imported(beta) == ["web"])
    assert (await state(alpha, "beta"), await state(beta, "alpha")) == ("ACTIVE", "ACTIVE")
    bundle = beta.store.peerings.bundles["alpha"]
    assert bundle.trust_domain == alpha.store.ca.trust_domain
    assert bundle.roots == tuple(root.root_cert for root in alpha.store.ca.roots.values())
    assert alpha.store.peerings.bundles["beta"].trust_domain == beta.store.ca.trust_domain
    assert alpha.store.peerings.rows["beta"].remote.datacenter == "dc1"
    assert imported(alpha, "beta") == []


async def test_changes_follow_and_what_is_exported_no_more_goes(pair: Pair) -> None:
    alpha, beta = pair
    await peered(pair)
    await until(pair, lambda: imported(beta) == ["web"])
    await export(alpha, "db")
    await until(pair, lambda: imported(beta) == ["db"])
    await alpha.put("/v1/catalog/deregister", {"Node": "n9"})
    await until(pair, lambda: imported(beta) == [])
    status = (await beta.get("/v1/peering/alpha"))["StreamStatus"]
    assert status["ImportedServices"] == []
    assert status["LastReceive"] and status["LastSend"]


async def test_a_stream_that_breaks_is_dialed_again_and_resumes(pair: Pair) -> None:
    alpha, beta = pair
    await peered(pair)
    await until(pair, lambda: imported(beta) == ["web"])
    alpha.reachable = False
    alpha.cut()
    await until(pair, lambda: not beta.keeper.statuses.of(beta.store.peerings.rows["alpha"].id).connected)
    assert await state(beta, "alpha") == "FAILING"
    assert imported(beta) == ["web"]
    await export(alpha, "web", "db")
    await advance(pair, 30)
    assert 2 < alpha.dialed < 20  # with growing pauses
    alpha.reachable = True
    await until(pair, lambda: imported(beta) == ["db", "web"])
    assert await state(beta, "alpha") == "ACTIVE"


async def test_a_stream_that_resumes_writes_what_has_changed_only(pair: Pair) -> None:
    alpha, beta = pair
    await peered(pair, "web", "db")
    await until(pair, lambda: imported(beta) == ["db", "web"])
    await advance(pair, 1)
    before = beta.store.registrations.index("nodes"), beta.store.place("alpha").index("services"), beta.store.index
    dialed = alpha.dialed
    alpha.cut()
    await until(pair, lambda: alpha.dialed > dialed)
    await advance(pair, 2)
    after = beta.store.registrations.index("nodes"), beta.store.place("alpha").index("services"), beta.store.index
    assert after[:2] == before[:2]
    assert after[2] - before[2] <= 3  # that it is active, roots, addresses


async def test_another_leader_of_either_side_takes_over(pair: Pair) -> None:
    alpha, beta = pair
    await peered(pair)
    await until(pair, lambda: imported(beta) == ["web"])
    for cluster in pair:
        await cluster.depose()
        await advance(pair, 1)
        await export(alpha, "web") if cluster is beta else await export(alpha, "web", "db")
        cluster.lead()
        await until(pair, lambda cluster=cluster: imported(beta) == (["web"] if cluster is beta else ["db", "web"]))


async def test_the_side_that_deletes_tells_the_other(pair: Pair) -> None:
    alpha, beta = pair
    await peered(pair)
    await until(pair, lambda: imported(beta) == ["web"])
    await beta.inside.ask("DELETE", "/v1/peering/alpha")
    await until(pair, lambda: "alpha" not in beta.store.peerings.rows)
    assert await state(alpha, "beta") == "TERMINATED"
    assert beta.store.imported.peers == {}
    await until(pair, lambda: alpha.store.peerings.bundles == {})
    await alpha.inside.ask("DELETE", "/v1/peering/beta")
    await until(pair, lambda: "beta" not in alpha.store.peerings.rows)
    token = await peered(pair)  # and anew under the same names
    assert decode_token(token).peer_id == alpha.store.peerings.rows["beta"].id
    await until(pair, lambda: imported(beta) == ["web"])


async def test_a_deletion_does_not_wait_for_a_peer_that_is_away(pair: Pair) -> None:
    alpha, beta = pair
    await peered(pair)
    await until(pair, lambda: imported(beta) == ["web"])
    alpha.reachable = False
    alpha.cut()
    await advance(pair, 5)
    await beta.inside.ask("DELETE", "/v1/peering/alpha")
    await until(pair, lambda: "alpha" not in beta.store.peerings.rows)


async def test_a_silent_peer_is_left_and_dialed_again(pair: Pair) -> None:
    alpha, beta = pair
    await peered(pair)
    await until(pair, lambda: imported(beta) == ["web"])
    for wire in alpha.wires:
        wire.reading = False  # nothing arrives any more, in either direction
    dialed = alpha.dialed
    await advance(pair, SILENCE_S + 5)
    await until(pair, lambda: alpha.dialed > dialed)
    await until(pair, lambda: beta.keeper.statuses.of(beta.store.peerings.rows["alpha"].id).connected)


async def test_a_server_that_does_not_lead_is_passed_over_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    alpha, beta = pair
    asked: list[str] = []

    async def dial(address: str, *more: Any) -> Any:
        asked.append(address)
        if address != "10.0.0.3:8503":
            raise Unavailable("this server is not the leader of its cluster: try another one")
        return await alpha.dial(address, *more)

    await peered(
        pair, "web", external=("10.0.0.1:8503", "10.0.0.2:8503", "10.0.0.3:8503"), dial=dial, patch=monkeypatch
    )
    await until(pair, lambda: imported(beta) == ["web"], within_s=0.9)
    assert asked[-1] == "10.0.0.3:8503"


async def test_a_token_is_good_once(pair: Pair) -> None:
    _, beta = pair
    token = await peered(pair)
    answer = await beta.post("/v1/peering/establish", {"PeerName": "again", "PeeringToken": token})
    assert (answer.status, answer.text) == (403, "invalid peering establishment secret")


async def test_a_wrong_secret_opens_nothing(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    alpha, beta = pair
    await peered(pair)
    await until(pair, lambda: imported(beta) == ["web"])
    alpha.store.peerings.secrets.clear()
    alpha.cut()
    with caplog.at_level(logging.WARNING):
        await advance(pair, 3)
    assert "invalid peering stream secret" in caplog.text
    assert await state(beta, "alpha") == "FAILING"


async def test_secrets_are_nowhere_in_the_logs(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    _, beta = pair
    with caplog.at_level(logging.DEBUG):
        token = await peered(pair)
        await until(pair, lambda: imported(beta) == ["web"])
    own = beta.store.peerings.secrets_of(beta.store.peerings.rows["alpha"].id).own
    assert own is not None
    for secret in (token, decode_token(token).establishment_secret, own.data.decode()):
        assert secret not in caplog.text


def test_a_peer_without_usable_authorities_is_not_dialed() -> None:
    for pems in ((), ("no certificate",)):
        with pytest.raises(Unavailable, match="authority cannot be used"):
            client_context(pems)
