import asyncio
import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.checks.dial import LOOKUPS_AT_ONCE, Dialer, describe, parse_target
from meshagent.agent.checks.probe import ProbeFailed
from meshagent.agent.checks.tls import TlsContexts
from meshagent.clock import Tasks, VirtualClock


@pytest.mark.parametrize(
    ("text", "host", "port", "numeric"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("db.example:5432", "db.example", 5432, False),
        ("localhost:http", "localhost", 80, False),
        (":80", "127.0.0.1", 80, True),
        ("db:", "db", 0, False),
    ],
)
def test_targets(text, host, port, numeric):
    target = parse_target(text)
    assert (target.text, target.host, target.port, target.numeric) == (text, host, port, numeric)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("db", "dial tcp: address db: missing port in address"),
        ("[::1]", "dial tcp: address [::1]: missing port in address"),
        ("::1:80", "dial tcp: address ::1:80: too many colons in address"),
        ("db:nonsense", "dial tcp: lookup tcp/nonsense: unknown port"),
        ("db:70000", "dial tcp: address 70000: invalid port"),
        ("", "dial tcp: address : missing port in address"),
    ],
)
def test_what_is_no_address(text, message):
    with pytest.raises(ProbeFailed) as failed:
        parse_target(text)
    assert str(failed.value) == message


@given(st.text())
def test_any_text_is_an_address_or_refused(text):
    try:
        target = parse_target(text)
    except ProbeFailed as error:
        assert str(error).startswith("dial tcp: ")
        return
    assert 0 <= target.port <= 65535
    assert target.host


def test_errors_in_the_systems_words():
    assert describe(ConnectionRefusedError(errno.ECONNREFUSED, "x")) == "connection refused"
    assert describe(OSError(errno.EHOSTUNREACH, "x")) == "no route to host"
    assert describe(TimeoutError()) == "i/o timeout"
    assert describe(OSError("Something Else")) == "something else"
    assert describe(socket.gaierror(socket.EAI_AGAIN, "Temporary failure")) == "temporary failure"


class Resolver:
    """Counts questions; answers when told to, or at once."""

    def __init__(self, answers, gate=None):
        self.answers = answers
        self.asked = []
        self.now = self.most = 0
        self.gate = gate

    async def __call__(self, host):
        self.asked.append(host)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.now -= 1
        found = self.answers.get(host, [])
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
async def dialer():
    tasks = Tasks()
    clock = VirtualClock()

    def make(resolver):
        return Dialer(clock=clock, tasks=tasks, tls=TlsContexts(), lookup=resolver), clock

    yield make
    await tasks.cancel()


async def test_many_checks_of_a_name_cost_one_look_up_a_second(dialer):
    resolver = Resolver({"web": ["127.0.0.1"]})
    made, clock = dialer(resolver)
    target = parse_target("web:80")
    for _ in range(50):
        assert await made.addresses(target) == ["127.0.0.1"]
    assert resolver.asked == ["web"]
    await clock.advance(1.1)
    await made.addresses(target)
    assert resolver.asked == ["web", "web"]


async def test_numeric_addresses_cost_none(dialer):
    resolver = Resolver({})
    made, _ = dialer(resolver)
    assert await made.addresses(parse_target("[::1]:80")) == ["::1"]
    assert resolver.asked == []


async def test_a_dead_resolver_holds_few_threads(dialer):
    gate = asyncio.Event()
    resolver = Resolver({f"h{n}": ["127.0.0.1"] for n in range(30)}, gate)
    made, _ = dialer(resolver)
    waiting = [asyncio.ensure_future(made.addresses(parse_target(f"h{n % 30}:80"))) for n in range(60)]
    while resolver.now < LOOKUPS_AT_ONCE:
        await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*waiting) == [["127.0.0.1"]] * 60
    assert resolver.most == LOOKUPS_AT_ONCE
    assert len(resolver.asked) == 30


async def test_names_are_forgotten(dialer):
    resolver = Resolver({})
    made, clock = dialer(resolver)
    for n in range(1200):
        with pytest.raises(ProbeFailed):
            await made.addresses(parse_target(f"h{n}:80"))
        await clock.advance(1.0)
    assert len(made._known) < 1100


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "dial tcp: lookup web: no such host"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "dial tcp: lookup web: no such host"),
        (socket.gaierror(socket.EAI_AGAIN, "Try again later"), "dial tcp: lookup web: try again later"),
        (UnicodeError("label too long"), "dial tcp: lookup web: no such host"),
    ],
)
async def test_names_that_do_not_resolve(dialer, caplog, answer, message):
    made, _ = dialer(Resolver({"web": answer}))
    with pytest.raises(ProbeFailed) as failed:
        await made.addresses(parse_target("web:80"))
    assert str(failed.value) == message
    assert caplog.records == []


async def test_the_operating_system_is_asked(tools):
    assert set(await tools.dialer.addresses(parse_target("localhost:80"))) <= {"127.0.0.1", "::1"}


async def test_the_next_address_is_tried(make_tools, serve, refused_port):
    """K12: a hostname tries all addresses."""

    async def both(host):
        return ["127.0.0.2", "127.0.0.1"]

    async def nothing(reader, writer):
        await reader.read()

    port = await serve(nothing)  # listens on 127.0.0.1 only
    connected = await make_tools(lookup=both).dialer.connect(parse_target(f"web:{port}"), asyncio.Protocol)
    assert isinstance(connected, asyncio.Protocol)
    with pytest.raises(ProbeFailed) as failed:
        await make_tools(lookup=both).dialer.connect(parse_target(f"web:{refused_port}"), asyncio.Protocol)
    assert str(failed.value) == f"dial tcp 127.0.0.2:{refused_port}: connect: connection refused"
