"""Marks on requests: who asks, and a name for each."""

from __future__ import annotations

import random
import uuid

from meshtest.http7 import World, request

from meshagent.connect.proxy.http.marks import WhoAsks, from_the_application, request_id, say_who_asks
from meshagent.connect.proxy.http.streams import Peer

CERT = b"x-forwarded-client-cert"


def test_an_application_does_not_speak_for_certificates() -> None:
    world = World()
    world.manager.filters = (from_the_application,)
    world.ask(request(headers=[(CERT, b"evil"), (b"a", b"b"), (CERT, b"evil")]))
    assert world.requests[0].head.headers == [(b"a", b"b"), (b"x-forwarded-proto", b"http")]


def test_the_last_element_is_what_was_verified() -> None:
    world = World()
    world.manager.filters = (say_who_asks,)
    peer = Peer("192.0.2.1:5", "spiffe://td/svc/web", "abc", "spiffe://td/svc/api")
    world.ask(peer=peer)
    ours = b"By=spiffe://td/svc/api;Hash=abc;URI=spiffe://td/svc/web"
    assert world.requests[0].head.headers == [(CERT, ours)]
    world.ask(request(headers=[(CERT, b"By=gateway")]), peer=peer)
    assert world.requests[1].head.headers == [(CERT, b"By=gateway," + ours)]
    world.ask(request(headers=[(CERT, b"By=gateway"), (b"a", b"b"), (CERT, b"URI=spiffe://td/svc/evil")]), peer=peer)
    joined = b"By=gateway,URI=spiffe://td/svc/evil," + ours
    assert world.requests[2].head.headers == [(b"a", b"b"), (CERT, joined)], "nothing comes behind ours"


def test_the_mesh_may_want_nobody_told() -> None:
    world = World()
    world.manager.filters = (WhoAsks(lambda: True),)
    world.ask(request(headers=[(CERT, b"By=gateway"), (b"a", b"b")]), peer=Peer("", "spiffe://td/svc/web"))
    assert world.requests[0].head.headers == [(b"a", b"b")]
    world.manager.filters = (WhoAsks(lambda: False),)
    world.ask(request(headers=[(CERT, b"By=gateway")]), peer=Peer("", "spiffe://td/svc/web"))
    assert world.requests[1].head.headers[0][1].startswith(b"By=gateway,")


def test_request_ids_are_uuids() -> None:
    rng = random.Random(1)
    found = [uuid.UUID(request_id(rng).decode()) for _ in range(50)]
    assert {one.version for one in found} == {4}
    assert {one.variant for one in found} == {uuid.RFC_4122}
    assert len(set(found)) == 50
    world = World()
    world.manager.request_id = lambda: request_id(rng)
    world.ask()
    assert world.requests[0].head.headers[0][0] == b"x-request-id"
    world.ask(request(headers=[(b"x-request-id", b"mine")]))
    assert world.requests[1].head.headers == [(b"x-request-id", b"mine")]
