"""`/v1/peering*` (surface rows PE1-PE3, L8): what golden scenarios do not show."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from meshtest.inprocess import InProcess, server_config

from meshagent.agent.peering.operations import Dialer
from meshagent.agent.peering.status import Statuses
from meshagent.agent.peering.token import PeeringToken, decode_token, encode_token
from meshagent.catalog.model import Node, Service, ServiceEntry
from meshagent.catalog.peering.commands import ImportedReplace, PeeringPurge
from meshagent.errors import Denied

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
FOREIGN = PeeringToken(
    ca=(PEM,),
    server_addresses=("10.0.0.9:8503",),
    server_name="server.dc2.peering.11111111-2222-3333-4444-555555555555.consul",
    peer_id="40e4a748-2192-161a-0510-9bf59fe950b5",
    establishment_secret="50e4a748-2192-161a-0510-9bf59fe950b5",
)


@pytest.fixture
async def cluster(live: InProcess) -> InProcess:
    assert live.mesh.authority is not None
    await live.mesh.authority.initialise()
    return live


async def token(cluster: InProcess, name: str = "east", **body: Any) -> PeeringToken:
    given = {"PeerName": name, "ServerExternalAddresses": ["lb.example:8503"], **body}
    answer = await cluster.ask("POST", "/v1/peering/token", given)
    assert answer.status == 200, answer.text
    return decode_token(answer.json["PeeringToken"])


async def test_a_token_says_how_to_reach_and_trust_this_cluster(cluster: InProcess) -> None:
    made = await token(cluster, Meta={"team": "a"})
    row = (await cluster.ask("GET", "/v1/peering/east")).json
    assert (made.peer_id, row["State"], row["Meta"]) == (row["ID"], "PENDING", {"team": "a"})
    assert made.server_name == f"server.dc1.peering.{cluster.store.ca.trust_domain}"
    assert made.ca == tuple(root.root_cert for root in cluster.store.ca.roots.values())
    assert made.addresses == ("lb.example:8503",)


async def test_a_second_token_takes_the_first_ones_place(cluster: InProcess) -> None:
    first, second = await token(cluster), await token(cluster)
    assert first.peer_id == second.peer_id
    assert first.establishment_secret != second.establishment_secret


async def test_secrets_are_neither_kept_nor_logged(cluster: InProcess, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        made = await token(cluster)
    secret = made.establishment_secret
    assert secret not in caplog.text
    assert all(secret.encode() not in chunk for chunk in cluster.store.snapshot())
    assert secret not in (await cluster.ask("GET", "/v1/peerings")).text


async def test_a_cluster_that_nobody_could_reach_makes_no_token(cluster: InProcess) -> None:
    answer = await cluster.ask("POST", "/v1/peering/token", {"PeerName": "east"})
    assert (answer.status, answer.text) == (
        500, "no server of this cluster listens on ports.grpc_tls: peers could not reach it",
    )  # fmt: skip


async def test_a_token_of_another_cluster_is_exchanged_at_once(cluster: InProcess) -> None:
    asked: list[PeeringToken] = []

    async def exchange(given: PeeringToken) -> str:
        asked.append(given)
        return "stream-secret"

    cluster.agent.extras["peering_dialer"] = Dialer(exchange)
    body = {"PeerName": "west", "PeeringToken": encode_token(FOREIGN), "Meta": {"a": "b"}}
    assert (await cluster.ask("POST", "/v1/peering/establish", body)).json == {}
    assert asked == [FOREIGN]
    row = (await cluster.ask("GET", "/v1/peering/west")).json
    assert (row["State"], row["PeerID"], row["PeerServerAddresses"], row["PeerCAPems"], row["Meta"]) == (
        "ESTABLISHING", FOREIGN.peer_id, ["10.0.0.9:8503"], [PEM], {"a": "b"},
    )  # fmt: skip
    assert "stream-secret" not in str(row)
    own = cluster.store.peerings.secrets_of(row["ID"]).own
    assert own is not None
    assert own.data == b"stream-secret"
    answer = await cluster.ask("POST", "/v1/peering/token", {"PeerName": "west"})
    assert (answer.status, answer.text) == (
        500, 'cannot create peering with name: "west"; there is already an established peering',
    )  # fmt: skip


async def test_what_the_other_side_refuses_leaves_nothing(cluster: InProcess) -> None:
    async def exchange(given: PeeringToken) -> str:
        raise Denied("invalid peering establishment secret")

    cluster.agent.extras["peering_dialer"] = Dialer(exchange)
    answer = await cluster.ask(
        "POST", "/v1/peering/establish", {"PeerName": "west", "PeeringToken": encode_token(FOREIGN)}
    )
    assert (answer.status, answer.text) == (403, "invalid peering establishment secret")
    assert (await cluster.ask("GET", "/v1/peerings")).json == []


async def test_a_cluster_does_not_peer_with_itself(cluster: InProcess) -> None:
    made = await token(cluster)
    answer = await cluster.ask(
        "POST", "/v1/peering/establish", {"PeerName": "self", "PeeringToken": encode_token(made)}
    )
    assert (answer.status, answer.text) == (500, "cannot create a peering within the same cluster")


async def test_another_datacenter_may_have_the_same_cluster_id(cluster: InProcess) -> None:
    name = f"server.dc9.peering.{cluster.store.ca.trust_domain}"
    other = msgspec.structs.replace(FOREIGN, server_name=name)

    async def exchange(given: PeeringToken) -> str:
        return "secret"

    cluster.agent.extras["peering_dialer"] = Dialer(exchange)
    answer = await cluster.ask(
        "POST", "/v1/peering/establish", {"PeerName": "west", "PeeringToken": encode_token(other)}
    )
    assert answer.status == 200, answer.text


async def test_who_waits_is_woken_by_another_peering(cluster: InProcess) -> None:
    first = await cluster.ask("GET", "/v1/peerings")
    waiting = asyncio.ensure_future(
        cluster.ask("GET", f"/v1/peerings?index={first.headers['x-consul-index']}&wait=60s")
    )
    await cluster.settle()
    assert not waiting.done()
    await token(cluster)
    assert [row["Name"] for row in (await waiting).json] == ["east"]


async def test_a_stream_shows_in_what_is_read_without_a_write(cluster: InProcess) -> None:
    made = await token(cluster)
    statuses = cluster.agent.extras["peering_status"] = Statuses()
    statuses.of(made.peer_id).exported = ["web"]
    for path in ("/v1/peering/east", "/v1/peerings"):
        found = (await cluster.ask("GET", path)).json
        row = found[0] if isinstance(found, list) else found
        assert row["StreamStatus"]["ExportedServices"] == ["web"]


async def test_what_was_imported_is_read_by_peer(cluster: InProcess) -> None:
    made = await token(cluster)
    entry = ServiceEntry(Node(name="far", address="10.9.0.1"), Service(id="web", name="web", port=80), ())
    await cluster.agent.write(ImportedReplace("east", "web", (entry,)))
    for path in (
        "health/service/web", "catalog/service/web", "catalog/nodes", "internal/ui/services", "internal/ui/nodes",
    ):  # fmt: skip
        assert (await cluster.ask("GET", f"/v1/{path}?peer=west")).json == []
        (row,) = (await cluster.ask("GET", f"/v1/{path}?peer=east")).json
        assert '"PeerName":"east"' in (await cluster.ask("GET", f"/v1/{path}?peer=east")).text.replace(" ", ""), row
        here = (await cluster.ask("GET", f"/v1/{path}")).json
        assert all(row.get("PeerName", "") == "" for row in here)
    assert (await cluster.ask("GET", "/v1/catalog/services?peer=east")).json == {"web": []}
    assert (await cluster.ask("GET", "/v1/catalog/node/far?peer=east")).json["Node"]["PeerName"] == "east"
    assert (await cluster.ask("GET", "/v1/catalog/node/far")).json is None
    filtered = await cluster.ask("GET", '/v1/catalog/nodes?peer=east&filter=PeerName=="east"')
    assert len(filtered.json) == 1
    await cluster.ask("DELETE", "/v1/peering/east")
    assert (await cluster.ask("GET", "/v1/peering/east")).json["State"] == "DELETING"
    await cluster.agent.write(PeeringPurge(made.peer_id, 10))
    assert (await cluster.ask("GET", "/v1/health/service/web?peer=east")).json == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "token", {"PeerName": "p"}),
        ("POST", "establish", {"PeerName": "p", "PeeringToken": "x"}),
        ("GET", "p", None),
        ("DELETE", "p", None),
    ],
)
async def test_it_can_be_turned_off(method: str, path: str, body: Any) -> None:
    config = server_config()
    running = InProcess(config=config.replace(peering=config.peering.replace(enabled=False)))
    await running.start()
    answer = await running.ask(method, f"/v1/peering/{path}", body)
    assert (answer.status, answer.text) == (500, "peering must be enabled to use this endpoint")
    await running.stop()


async def test_what_a_token_needs(guarded: InProcess) -> None:  # L8
    _, reader = await guarded.token('peering = "read"')
    _, nobody = await guarded.token('key_prefix "" { policy = "read" }')
    for method, path, secret, status in (
        ("GET", "/v1/peerings", reader, 200),
        ("GET", "/v1/peerings", nobody, 403),
        ("DELETE", "/v1/peering/x", reader, 403),
        ("POST", "/v1/peering/token", reader, 403),
    ):
        answer = await guarded.ask(method, path, {}, headers={"X-Consul-Token": secret})
        assert answer.status == status, (method, path, answer.text)
