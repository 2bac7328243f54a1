"""Requests of the engine, as they are counted and told."""

from __future__ import annotations

from meshtest.http7 import World, request

from meshagent.connect.proxy.http.exchange import Exchange
from meshagent.connect.proxy.http.messages import ResponseHead, get
from meshagent.connect.proxy.http.rbac import AUDITED
from meshagent.connect.proxy.http.replies import DENIED
from meshagent.connect.proxy.http.streams import Peer
from meshagent.connect.proxy.telemetry.observer import Observer, service_of
from meshagent.connect.proxy.telemetry.record import Record
from meshagent.connect.proxy.telemetry.taps import Tap
from meshagent.connect.proxy.telemetry.trace_context import read

WEB = "spiffe://td.consul/ns/default/dc/dc1/svc/web"


def observed(direction: str = "outbound") -> tuple[World, Observer]:
    world = World()
    observer = Observer(world.now, lambda: 1_000_000.0 + world.now(), world.manager.rng)
    world.manager.telemetry = observer.listener(direction, "api" if direction == "inbound" else "web", "api")
    return world, observer


def answer(world: World, status: int = 200) -> None:
    world.requests[-1].handler.on_head(ResponseHead(status, []), True)


def test_a_request_is_counted_on_its_edge() -> None:
    world, observer = observed()
    world.ask()
    world.now.time += 0.02
    answer(world)
    (series,) = observer.book.all()
    assert series.edge == ("outbound", "web", "api", "default")
    assert (series.requests[2], sum(series.buckets), round(series.seconds, 3)) == (1, 1, 0.02)


def test_the_source_is_who_proved_it() -> None:
    world, observer = observed("inbound")
    world.ask(request(b"/shop/1"), peer=Peer(identity=WEB))
    answer(world, 404)
    (series,) = observer.book.all()
    assert series.edge[:3] == ("inbound", "web", "api")
    assert (series.requests[4], series.paths) == (1, {("GET", "/shop"): [1]})
    assert [service_of(one) for one in (WEB, "", "nonsense")] == ["web", "", "(other)"]


def test_a_record_is_made_only_while_somebody_wants_one() -> None:
    world, observer = observed()
    records: list[Record] = []
    world.ask()
    answer(world)
    observer.access_log = records.append
    observer.changed()
    world.ask(request(b"/x", b"POST"))
    world.now.time += 0.5
    answer(world, 503)
    (record,) = records
    assert (record.method, record.path, record.status, record.duration_s) == ("POST", "/x", 503, 0.5)
    assert record.started == 1_000_000.0 + world.now() - 0.5
    assert record.upstream.endswith(":80") or ":" in record.upstream


def test_taps_come_and_go() -> None:
    world, observer = observed()
    tap = Tap({"path": "/a"})
    observer.taps.add(tap)
    observer.changed()
    for path in (b"/a", b"/b"):
        world.ask(request(path))
        answer(world)
    assert [one.path for one in tap.queue] == ["/a"]
    observer.taps.discard(tap)
    observer.changed()
    assert not observer.watched


def test_a_trace_is_begun_continued_and_exported_when_sampled() -> None:
    world, observer = observed()
    spans: list[Record] = []
    world.ask(request(headers=[(b"traceparent", b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01")]))
    assert get(world.requests[-1].head.headers, b"traceparent") == b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01"
    answer(world)
    assert spans == [], "without an export headers pass as they are"
    observer.export = spans.append
    world.ask(request(headers=[(b"traceparent", b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01")]))
    sent = read(world.requests[-1].head.headers)
    answer(world)
    assert sent is not None
    (span,) = spans
    assert (span.trace_id, span.parent_id, span.span_id) == ("ab" * 16, "cd" * 8, sent.span_id)
    world.ask()
    begun = read(world.requests[-1].head.headers)
    answer(world)
    assert begun is not None
    assert spans[1].trace_id == begun.trace_id
    assert spans[1].parent_id == ""


def test_sampling_is_decided_once() -> None:
    world, observer = observed()
    spans: list[Record] = []
    observer.export, observer.sampling_percent = spans.append, 25.0
    for _ in range(400):
        world.ask()
        answer(world)
    assert 70 < len(spans) < 130
    before = len(spans)
    world.ask(request(headers=[(b"b3", b"ab" * 16 + b"-" + b"cd" * 8 + b"-1")]))
    answer(world)
    world.ask(request(headers=[(b"b3", b"ab" * 16 + b"-" + b"cd" * 8 + b"-0")]))
    answer(world)
    assert len(spans) == before + 1, "what the caller decided holds"


def test_flags_and_retries_are_counted() -> None:
    world, observer = observed()
    world.route(splits=())
    world.ask()
    (series,) = observer.book.all()
    assert sum(series.flags.values()) == 1
    assert series.requests[5] == 1


def test_who_is_denied_leaves_no_path_and_who_is_audited_is_counted() -> None:
    world, observer = observed("inbound")
    world.manager.filters = (lambda exchange: DENIED,)
    world.ask(request(b"/secret"), peer=Peer(identity=WEB))

    def audited(exchange: Exchange) -> None:
        exchange.detail = AUDITED

    world.manager.filters = (audited,)
    world.ask(request(b"/open"), peer=Peer(identity=WEB))
    answer(world)
    denied, let_in = list(observer.book.all())
    assert (denied.denied, denied.audited, denied.paths) == (1, 0, {})
    assert (let_in.denied, let_in.audited, let_in.paths) == (0, 1, {("GET", "/open"): [1]})


def test_a_failed_grpc_request_is_no_success() -> None:
    world, observer = observed()
    for status in (b"0", b"14"):
        head = request(method=b"POST", headers=[(b"content-type", b"application/grpc")])
        head.version = 20
        world.ask(head)
        stream = world.requests[-1]
        stream.handler.on_head(ResponseHead(200, []), False)
        stream.handler.on_trailers([(b"grpc-status", status)])
    (series,) = observer.book.all()
    assert series.requests == [0, 0, 1, 0, 0, 1]
