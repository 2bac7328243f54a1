"""Our peers beside grpcio, with TLS: its client calls our port, and its server is dialed by us."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import pytest
from meshtest.process import AgentProcess

from meshagent.agent.peering.keeper import exchange_secret
from meshagent.agent.peering.messages import (
    EXCHANGE,
    EXCHANGE_METHOD,
    EXPORTED_SERVICE,
    EXPORTED_SERVICE_LIST,
    GIVEN,
    STREAM_METHOD,
    Exchange,
    Given,
    Message,
    Open,
    Request,
    Response,
    Terminated,
    decode_message,
    decode_names,
    encode_message,
)
from meshagent.agent.peering.token import PeeringToken, decode_token, encode_token
from meshagent.connect import certs
from meshagent.errors import Denied

grpc = pytest.importorskip("grpc")


@pytest.fixture
def agent() -> Iterator[AgentProcess]:
    with AgentProcess.server() as running:
        running.wait("roots", lambda: running.get("/v1/connect/ca/roots")["Roots"])
        yield running


def make_token(agent: AgentProcess, peer: str) -> PeeringToken:
    answer = agent.http("POST", "/v1/peering/token", json={"PeerName": peer})
    assert answer.status == 200, answer.body
    return decode_token(json.loads(answer.body)["PeeringToken"])


def channel_to(token: PeeringToken) -> Any:
    credentials = grpc.ssl_channel_credentials("".join(token.ca or ()).encode())
    return grpc.secure_channel(
        token.addresses[0], credentials, options=[("grpc.ssl_target_name_override", token.server_name)]
    )


class Caller:
    """A dialing peer made of grpcio."""

    def __init__(self, token: PeeringToken) -> None:
        self.channel = channel_to(token)
        exchange = self.channel.unary_unary(EXCHANGE_METHOD)
        asked = EXCHANGE.encode(Exchange(token.peer_id, token.establishment_secret))
        self.secret = GIVEN.decode(exchange(asked, wait_for_ready=True, timeout=60)).secret
        self.out: queue.Queue[bytes | None] = queue.Queue()
        self.say(Open(token.peer_id, self.secret))
        self.answers = self.channel.stream_stream(STREAM_METHOD)(iter(self.out.get, None), timeout=60)

    def say(self, message: Message) -> None:
        self.out.put(encode_message(message))

    def hear(self) -> Message:
        return decode_message(next(self.answers))


def test_grpcio_dials_us(agent: AgentProcess) -> None:
    agent.put("/v1/catalog/register", {"Node": "n", "Address": "10.0.0.1", "Service": {"Service": "web", "Port": 80}})
    services = [{"Name": "web", "Consumers": [{"Peer": "east"}]}]
    agent.put("/v1/config", {"Kind": "exported-services", "Name": "default", "Services": services})
    token = make_token(agent, "east")
    assert token.addresses == (f"127.0.0.1:{agent.ports['grpc_tls']}",)
    caller = Caller(token)
    asked = [caller.hear() for _ in range(3)]
    assert all(isinstance(one, Request) for one in asked)
    for kind in (EXPORTED_SERVICE_LIST, EXPORTED_SERVICE):
        caller.say(Request(peer_id=token.peer_id, kind=kind))
    told: dict[str, Response] = {}
    while "web" not in told or "exported-service-list" not in told:
        heard = caller.hear()
        assert isinstance(heard, Response)
        told[heard.id] = heard
        caller.say(Request(peer_id=token.peer_id, nonce=heard.nonce, kind=heard.kind))
    resource = told["exported-service-list"].resource
    assert resource is not None
    assert decode_names(resource) == ("web",)
    assert agent.http("DELETE", "/v1/peering/east").status == 200
    while not isinstance(heard := caller.hear(), Terminated):
        assert isinstance(heard, (Request, Response))
    caller.out.put(None)
    caller.channel.close()  # the end of a peering ends its connection, too
    channel = channel_to(token)
    with pytest.raises(grpc.RpcError) as refused:
        exchange = channel.unary_unary(EXCHANGE_METHOD)
        exchange(EXCHANGE.encode(Exchange(token.peer_id, token.establishment_secret)), wait_for_ready=True, timeout=60)
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert refused.value.details() == "invalid peering establishment secret"
    with pytest.raises(grpc.RpcError) as unknown:
        channel.unary_unary("/a.B/C")(b"", wait_for_ready=True, timeout=60)
    assert (
        unknown.value.code() == grpc.StatusCode.PERMISSION_DENIED
    )  # peers may call what is for peers, and learn nothing of the rest
    channel.close()


class Server:
    """An accepting peer made of grpcio: it tells of what `tell` holds, and remembers what it hears."""

    def __init__(self) -> None:
        key, server_key = certs.new_key("ec", 256), certs.new_key("ec", 256)
        from datetime import UTC, datetime, timedelta

        now = datetime.now(UTC)
        root = certs.root(key, "test", "spiffe://t.consul", 1, now, timedelta(days=1))
        uri = "spiffe://t.consul/agent/server/dc/far"
        asked = certs.request(server_key, uri, ["server.far.peering.t.consul"])
        leaf = certs.service_leaf(asked, root, key, 2, now, timedelta(hours=1), uri, ["server.far.peering.t.consul"])
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
        self.heard: list[Message] = []
        self.acknowledged = threading.Event()
        handlers = {
            "ExchangeSecret": grpc.unary_unary_rpc_method_handler(self._exchange),
            "StreamResources": grpc.stream_stream_rpc_method_handler(self._stream),
        }
        service = STREAM_METHOD.split("/")[1]
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        port = self.server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(server_key, leaf)]))
        self.server.start()
        self.root = root.decode()
        self.token = PeeringToken(
            ca=(self.root,),
            server_addresses=(f"127.0.0.1:{port}",),
            server_name="server.far.peering.t.consul",
            peer_id="40e4a748-2192-161a-0510-9bf59fe950b5",
            establishment_secret="50e4a748-2192-161a-0510-9bf59fe950b5",
        )

    def _exchange(self, message: bytes, context: Any) -> bytes:
        asked = EXCHANGE.decode(message)
        if (asked.peer_id, asked.secret) != (self.token.peer_id, self.token.establishment_secret):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "invalid peering establishment secret")
        return GIVEN.encode(Given("stream"))

    def _stream(self, messages: Iterator[bytes], context: Any) -> Iterator[bytes]:
        yield encode_message(Request(kind=EXPORTED_SERVICE))
        for data in messages:
            message = decode_message(data)
            self.heard.append(message)
            if isinstance(message, Request) and message.kind == EXPORTED_SERVICE:
                if message.nonce:
                    self.acknowledged.set()
                else:
                    yield encode_message(Response("0a", EXPORTED_SERVICE, "web", INSTANCES))


def _instances() -> Any:
    from meshagent.agent.peering.resources import encode_instances
    from meshagent.catalog.model import Node, Service, ServiceEntry

    entry = ServiceEntry(Node(name="far", address="10.9.0.1"), Service(id="web", name="web", port=80), ())
    return encode_instances("web", [entry])


INSTANCES = _instances()


def test_we_dial_grpcio(agent: AgentProcess) -> None:
    server = Server()
    wrong = PeeringToken(**{**_fields(server.token), "establishment_secret": "guess"})
    with pytest.raises(Denied, match="invalid peering establishment secret"):
        asyncio.run(exchange_secret(wrong))
    body = {"PeerName": "far", "PeeringToken": encode_token(server.token)}
    answer = agent.http("POST", "/v1/peering/establish", json=body)
    assert answer.status == 200, answer.body
    (row,) = agent.wait("the import", lambda: agent.get("/v1/health/service/web?peer=far"))
    assert (row["Node"]["Node"], row["Service"]["Port"], row["Service"]["PeerName"]) == ("far", 80, "far")
    assert server.acknowledged.wait(60)
    assert server.heard[0].peer_id == server.token.peer_id  # type: ignore[union-attr]
    assert isinstance(server.heard[0], Open)
    assert server.heard[0].secret == "stream"
    server.server.stop(0)
    agent.wait("the loss", lambda: agent.get("/v1/peering/far")["State"] == "FAILING")


def _fields(token: PeeringToken) -> dict[str, Any]:
    return {name: getattr(token, name) for name in token.__struct_fields__}
