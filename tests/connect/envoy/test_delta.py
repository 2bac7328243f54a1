"""X4: the delta machine against a model of Envoy: whatever happens, it ends with what there is, and no listener
or route that it holds names a cluster that it does not have."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshagent.connect.envoy.delta import PATIENCE_S, Command, DeltaStream, Rejected, Request, Send
from meshagent.connect.envoy.resources import CLUSTER, ENDPOINTS, LISTENER, ORDER, ROUTES, Resources
from meshagent.connect.envoy.versioned import Versioned, VersionedResources, versioned


def resources(
    clusters: dict[str, int] | None = None,
    listeners: dict[str, tuple[str, int]] | None = None,
    routes: dict[str, tuple[str, int]] | None = None,
    aggregates: dict[str, list[str]] | None = None,
) -> VersionedResources:
    """Clusters by generation, with endpoints; listeners and routes by (what it names, generation). A listener of
    "rds:x" has the routes x."""
    made = Resources()
    for name, generation in (clusters or {}).items():
        made.clusters[name] = {"name": name, "type": "EDS", "connect_timeout": f"{generation % 2}s"}
        made.endpoints[name] = {"cluster_name": name, "policy": {"overprovisioning_factor": generation}}
    for name, others in (aggregates or {}).items():
        made.clusters[name] = {"name": name, "cluster_type": {"typed_config": {"clusters": others}}}
    for name, (target, generation) in (listeners or {}).items():
        kind = "route_config_name" if target.startswith("rds:") else "cluster"
        made.listeners[name] = {"name": name, "stat_prefix": str(generation), "filter": {kind: target}}
    for name, (target, generation) in (routes or {}).items():
        route = {"weighted_clusters": {"clusters": [{"name": target, "weight": generation}]}}
        made.routes[name] = {"name": name, "routes": [{"route": route}]}
    return versioned(made)


class SomeBad:
    """Versions that an Envoy does not take, by chance: about one in `one_in`, always the same ones."""

    def __init__(self, seed: int, one_in: int) -> None:
        self.seed = seed
        self.one_in = one_in

    def __contains__(self, what: object) -> bool:
        return self.one_in > 0 and random.Random(f"{self.seed} {what}").randrange(self.one_in) == 0


class Envoy:
    """A client as Envoy is: asks for endpoints of its clusters and routes of its listeners; `bad` are (name, version)
    that it does not take; `takes_good` of a response that it refuses."""

    def __init__(self, bad: Container[tuple[str, str]], *, takes_good: bool = True) -> None:
        self.bad = bad
        self.takes_good = takes_good
        self.held: dict[str, dict[str, Versioned]] = {type_url: {} for type_url in ORDER}
        self.asked: dict[str, set[str]] = {ENDPOINTS: set(), ROUTES: set()}
        self.started: set[str] = set()
        #: Clusters that are not in use before their endpoints have come, again for each change.
        self.warming: set[str] = set()
        self.out: deque[Request] = deque()

    def connect(self) -> None:
        """A new stream: it says what it has."""
        again, self.started = self.started, set()
        self.out.clear()
        for type_url in ORDER:
            if type_url in again or type_url == CLUSTER:
                self.subscribe(type_url)

    def subscribe(self, type_url: str) -> None:
        self.started.add(type_url)
        versions = {name: one.version for name, one in self.held[type_url].items()}
        names = tuple(sorted(self.asked.get(type_url, ())))
        self.out.append(Request(type_url, subscribe=names, versions=versions))

    def receive(self, sent: Send) -> None:
        held = self.held[sent.type_url]
        refused = [name for name, one in sent.resources if (name, one.version) in self.bad]
        if not refused or self.takes_good:
            for name in sent.removed:
                held.pop(name, None)
            for name, one in sent.resources:
                wanted = sent.type_url not in self.asked or name in self.asked[sent.type_url]
                if wanted and name not in refused:
                    held[name] = one
        error = f"bad: {refused}" if refused else None
        ack = Request(sent.type_url, nonce=sent.nonce, error=error)
        if not refused or self.takes_good:
            names = {name for name, _ in sent.resources} - set(refused)
            if sent.type_url == CLUSTER:
                self.warming |= {name for name in names if held[name].resource.get("type") == "EDS"}
                self.warming -= set(sent.removed)
            elif sent.type_url == ENDPOINTS:
                self.warming -= names
        if sent.type_url == CLUSTER:
            eds = {name for name, one in held.items() if one.resource.get("type") == "EDS"}
            self.ask(ENDPOINTS, eds)
            self.out.append(ack)
            if LISTENER not in self.started:
                self.subscribe(LISTENER)
            for name, one in sent.resources:
                if one.clusters and name in held:
                    assert one.clusters <= set(held), f"{name} is made of clusters that are not there"
        elif sent.type_url == LISTENER:
            self.out.append(ack)
            targets = [one.resource["filter"].get("route_config_name", "") for one in held.values()]
            self.ask(ROUTES, {target.removeprefix("rds:") for target in targets if target})
        else:
            self.out.append(ack)
        self.check()

    def ask(self, type_url: str, names: set[str]) -> None:
        before, self.asked[type_url] = self.asked[type_url], names
        for name in before - names:
            self.held[type_url].pop(name, None)
        if type_url not in self.started:
            if names:
                self.subscribe(type_url)
        elif names != before:
            new, gone = tuple(sorted(names - before)), tuple(sorted(before - names))
            self.out.append(Request(type_url, subscribe=new, unsubscribe=gone))

    def check(self) -> None:
        clusters = set(self.held[CLUSTER])
        for type_url in (LISTENER, ROUTES):
            for name, one in self.held[type_url].items():
                assert one.clusters <= clusters, f"{name} names a cluster that is not there"


@dataclass
class World:
    """One Envoy and the stream it has now."""

    envoy: Envoy
    now: float = 0.0
    there: VersionedResources = field(default_factory=dict)
    sent: deque[Send] = field(default_factory=deque)
    log: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stream = DeltaStream()
        self.envoy.connect()

    def reconnect(self) -> None:
        self.stream = DeltaStream()
        self.sent.clear()
        self.envoy.connect()
        self.take(self.stream.offer(self.there, self.now))

    def take(self, commands: list[Command]) -> None:
        self.log += commands
        self.sent += [command for command in commands if isinstance(command, Send)]

    def offer(self, there: VersionedResources) -> None:
        self.there = there
        self.take(self.stream.offer(there, self.now))

    def step(self, chance: random.Random | None = None) -> bool:
        """Something arrives on one of the two sides; False when nothing is under way."""
        to_server = bool(self.envoy.out) and (not self.sent or chance is None or chance.random() < 0.5)
        if to_server:
            self.take(self.stream.received(self.envoy.out.popleft(), self.now))
        elif self.sent:
            self.envoy.receive(self.sent.popleft())
        else:
            return False
        return True

    def settle(self) -> None:
        """Until nothing moves, also with time."""
        for _ in range(100_000):
            if self.step():
                continue
            if self.stream.wake_at is None:
                return
            assert self.stream.wake_at > self.now
            self.now = self.stream.wake_at
            self.take(self.stream.tick(self.now))
        raise AssertionError("it never comes to rest")

    @property
    def types(self) -> list[str]:
        """The types of the responses since the last look, without packages."""
        found = [sent.type_url.rpartition(".")[2] for sent in self.log if isinstance(sent, Send)]
        self.log.clear()
        return found


def world(there: VersionedResources, *bad: tuple[str, str], takes_good: bool = True) -> World:
    made = World(Envoy(set(bad), takes_good=takes_good))
    made.offer(there)
    made.settle()
    return made


def expected(there: VersionedResources, envoy: Envoy) -> dict[str, dict[str, str]]:
    """What an Envoy holds in the end, which takes everything."""
    found: dict[str, dict[str, str]] = {}
    for type_url in ORDER:
        found[type_url] = {
            name: one.version
            for name, one in there.get(type_url, {}).items()
            if type_url not in envoy.asked or name in envoy.asked[type_url]
        }
    return found


def holds(envoy: Envoy) -> dict[str, dict[str, str]]:
    return {type_url: {name: one.version for name, one in held.items()} for type_url, held in envoy.held.items()}


# --- by hand ---------------------------------------------------------------------------------------------------


def test_a_first_connection_is_told_in_order() -> None:
    there = resources({"a": 1, "b": 1}, {"in": ("a", 1), "out": ("rds:r", 1)}, {"r": ("b", 1)})
    made = world(there)
    assert made.types == ["Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration"]
    assert holds(made.envoy) == expected(there, made.envoy)
    assert made.now == 0, "it waits for nothing"


def test_without_a_change_nothing_is_sent() -> None:
    made = world(resources({"a": 1}, {"in": ("a", 1)}))
    made.types  # noqa: B018
    made.offer(resources({"a": 1}, {"in": ("a", 1)}))
    made.settle()
    assert made.types == []


def test_an_envoy_without_anything_is_told_so() -> None:
    """It waits for the first answer about clusters and listeners without end (`initial_fetch_timeout: 0s`)."""
    made = world(resources())
    assert made.types == ["Cluster", "Listener"]


def test_a_new_upstream_is_warm_before_it_is_routed_to() -> None:
    made = world(resources({"a": 1}, {"in": ("a", 1)}))
    made.types  # noqa: B018
    made.offer(resources({"a": 1, "b": 1}, {"in": ("a", 1), "out": ("b", 1)}))
    made.settle()
    assert made.types == ["Cluster", "ClusterLoadAssignment", "Listener"]
    assert made.now == 0


def test_failover_comes_when_there_is_something_to_fail_over_to() -> None:
    made = world(resources({"a": 1}, {"in": ("a", 1)}))
    made.types  # noqa: B018
    made.offer(resources({"a1": 1, "a2": 1}, {"in": ("a", 1)}, aggregates={"a": ["a1", "a2"]}))
    made.settle()
    told = [[name for name, _ in sent.resources] for sent in made.log if isinstance(sent, Send)]
    assert made.types == ["Cluster", "ClusterLoadAssignment", "Cluster"]
    assert told == [["a1", "a2"], ["a1", "a2"], ["a"]]
    assert made.now == 0


def test_failover_does_not_wait_for_who_asks_for_no_endpoints() -> None:
    stream = DeltaStream()
    stream.offer(resources({"a1": 1}, aggregates={"a": ["a1"]}), 0.0)
    (sent,) = stream.received(Request(CLUSTER), 0.0)
    assert isinstance(sent, Send)
    assert stream.received(Request(CLUSTER, nonce=sent.nonce), 0.0) == []
    assert stream.wake_at == PATIENCE_S
    (sent,) = stream.tick(PATIENCE_S)
    assert isinstance(sent, Send)
    assert [name for name, _ in sent.resources] == ["a"]


def test_what_goes_goes_last() -> None:
    made = world(resources({"a": 1, "b": 1}, {"in": ("a", 1), "out": ("b", 1)}))
    made.types  # noqa: B018
    made.offer(resources({"a": 1}, {"in": ("a", 1)}))
    made.settle()
    removed = [(sent.type_url, sent.removed) for sent in made.log if isinstance(sent, Send)]
    assert removed == [(LISTENER, ("out",)), (CLUSTER, ("b",))]


def test_only_what_differs_is_sent_to_who_comes_back() -> None:
    made = world(resources({"a": 1, "b": 1}, {"in": ("a", 1), "out": ("rds:r", 1)}, {"r": ("b", 1)}))
    made.types  # noqa: B018
    made.reconnect()
    made.settle()
    assert made.types == []
    made.there = resources({"a": 1, "c": 1}, {"in": ("a", 1), "out": ("rds:r", 1)}, {"r": ("c", 1)})
    made.reconnect()
    made.settle()
    told = [sorted([name for name, _ in sent.resources]) for sent in made.log if isinstance(sent, Send)]
    assert told == [["c"], ["c"], ["r"], []]
    assert holds(made.envoy) == expected(made.there, made.envoy)


def test_a_changed_cluster_is_told_its_endpoints_again() -> None:
    """Envoy waits for them (15 s, and holds back listeners meanwhile), and does not ask again."""
    there = resources({"a": 1, "b": 1}, {"in": ("a", 1), "out": ("b", 1)})
    made = world(there)
    assert made.envoy.warming == set()
    made.types  # noqa: B018
    made.offer({**there, CLUSTER: {**there[CLUSTER], "a": resources({"a": 2})[CLUSTER]["a"]}})
    made.settle()
    told = [(sent.type_url, [name for name, _ in sent.resources]) for sent in made.log if isinstance(sent, Send)]
    assert told == [(CLUSTER, ["a"]), (ENDPOINTS, ["a"])]
    assert made.envoy.warming == set()
    made.types  # noqa: B018
    made.there = there  # another server sees it otherwise, a leaf of its own for instance
    made.reconnect()
    made.settle()
    told = [(sent.type_url, [name for name, _ in sent.resources]) for sent in made.log if isinstance(sent, Send)]
    assert told == [(CLUSTER, ["a"]), (ENDPOINTS, ["a"])]
    assert made.envoy.warming == set()


@pytest.mark.parametrize("takes_good", [True, False])
def test_what_is_bad_is_found_and_the_rest_arrives(takes_good: bool) -> None:
    clusters = {f"c{at}": 1 for at in range(20)}
    there = resources(clusters, {"in": ("c1", 1), "out": ("c7", 1)})
    made = world(there, ("c7", there[CLUSTER]["c7"].version), takes_good=takes_good)
    assert set(made.envoy.held[CLUSTER]) == set(clusters) - {"c7"}
    assert set(made.envoy.held[LISTENER]) == {"in"}, "nothing that names what is not there"
    refused = [command for command in made.log if isinstance(command, Rejected)]
    assert refused[-1].given_up == ("c7",)
    assert refused[-1].error == "bad: ['c7']"
    assert made.stream.rejected() == {CLUSTER: {"c7": there[CLUSTER]["c7"].version}}
    made.types  # noqa: B018
    made.offer(there)
    made.settle()
    assert made.types == [], "it is not sent again"
    better = resources({**clusters, "c7": 2}, {"in": ("c1", 1), "out": ("c7", 1)})
    made.offer(better)
    made.settle()
    assert holds(made.envoy) == expected(better, made.envoy)
    assert made.stream.rejected() == {}


def test_an_envoy_keeps_the_cluster_that_its_old_listener_names() -> None:
    before = resources({"a": 1, "b": 1}, {"out": ("a", 1)})
    after = resources({"b": 1}, {"out": ("b", 2)})
    made = world(before, ("out", after[LISTENER]["out"].version))
    made.offer(after)
    made.settle()
    assert set(made.envoy.held[CLUSTER]) == {"a", "b"}
    better = resources({"b": 1}, {"out": ("b", 3)})
    made.offer(better)
    made.settle()
    assert holds(made.envoy) == expected(better, made.envoy)


def test_who_asks_for_what_is_not_there_is_told_so_once() -> None:
    stream = DeltaStream()
    stream.offer(resources({"a": 1}), 0.0)
    (sent,) = stream.received(Request(ROUTES, subscribe=("r",)), 0.0)
    assert isinstance(sent, Send)
    assert (sent.resources, sent.removed) == ((), ("r",))
    assert stream.received(Request(ROUTES, nonce=sent.nonce), 0.0) == []
    (sent,) = stream.offer(resources({"a": 1}, routes={"r": ("a", 1)}), 0.0)
    assert isinstance(sent, Send)
    assert [name for name, _ in sent.resources] == ["r"]


def test_who_asks_again_is_told_again() -> None:
    stream = DeltaStream()
    stream.offer(resources({"a": 1}), 0.0)
    (sent,) = stream.received(Request(ENDPOINTS, subscribe=("a",)), 0.0)
    assert isinstance(sent, Send)
    stream.received(Request(ENDPOINTS, nonce=sent.nonce), 0.0)
    (sent,) = stream.received(Request(ENDPOINTS, subscribe=("a",)), 0.0)
    assert isinstance(sent, Send)
    assert [name for name, _ in sent.resources] == ["a"]


def test_a_wildcard_may_be_named_and_let_go() -> None:
    stream = DeltaStream()
    there = resources({"a": 1, "b": 1})
    stream.offer(there, 0.0)
    (sent,) = stream.received(Request(CLUSTER, subscribe=("*", "b")), 0.0)
    assert isinstance(sent, Send)
    assert [name for name, _ in sent.resources] == ["a", "b"]
    stream.received(Request(CLUSTER, nonce=sent.nonce, unsubscribe=("*",)), 0.0)
    assert stream.offer(resources({"a": 2, "b": 1}), 0.0) == []
    (sent,) = stream.offer(resources({"a": 2, "b": 2}), 0.0)
    assert isinstance(sent, Send)
    assert [name for name, _ in sent.resources] == ["b"]


def test_one_response_of_a_type_is_under_way() -> None:
    stream = DeltaStream()
    stream.offer(resources({"a": 1}), 0.0)
    (sent,) = stream.received(Request(CLUSTER), 0.0)
    assert isinstance(sent, Send)
    assert stream.offer(resources({"a": 2}), 0.0) == []
    assert stream.received(Request(CLUSTER, nonce="of another"), 0.0) == []
    (again,) = stream.received(Request(CLUSTER, nonce=sent.nonce), 0.0)
    assert isinstance(again, Send)
    assert again.nonce != sent.nonce


def test_a_client_that_asks_for_no_endpoints_gets_its_listeners() -> None:
    stream = DeltaStream()
    stream.offer(resources({"a": 1}, {"in": ("a", 1)}), 0.0)
    (sent,) = stream.received(Request(CLUSTER), 0.0)
    assert isinstance(sent, Send)
    assert stream.received(Request(CLUSTER, nonce=sent.nonce), 0.0) == []
    assert stream.received(Request(LISTENER), 0.0) == []
    assert stream.wake_at == PATIENCE_S
    (sent,) = stream.tick(PATIENCE_S)
    assert isinstance(sent, Send)
    assert sent.type_url == LISTENER
    assert stream.wake_at is None


def test_types_that_there_are_not_are_not_answered() -> None:
    stream = DeltaStream()
    stream.offer(resources({"a": 1}), 0.0)
    assert stream.received(Request("type.googleapis.com/envoy.service.runtime.v3.Runtime", ("*",)), 0.0) == []


def test_nothing_is_said_before_there_is_anything() -> None:
    stream = DeltaStream()
    assert stream.received(Request(CLUSTER), 0.0) == []
    assert [type(command) for command in stream.offer(resources(), 0.0)] == [Send]


# --- by chance -------------------------------------------------------------------------------------------------


def some_resources(chance: random.Random) -> VersionedResources:
    clusters = {name: chance.randrange(4) for name in "abcdef" if chance.random() < 0.6}
    names = list(clusters)
    aggregates = {"all": chance.sample(names, 2)} if len(names) > 2 and chance.random() < 0.3 else {}
    routes = {name: (chance.choice(names), chance.randrange(3)) for name in "rst" if names and chance.random() < 0.6}
    targets = [*names, *aggregates, *(f"rds:{name}" for name in routes)]
    listeners = {
        name: (chance.choice(targets), chance.randrange(3)) for name in "klmn" if targets and chance.random() < 0.6
    }
    return resources(clusters, listeners, routes, aggregates)


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=200, deadline=None)
def test_whatever_happens_it_ends_with_what_there_is(seed: int, takes_good: bool) -> None:
    chance = random.Random(seed)
    world = World(Envoy(SomeBad(seed, chance.choice([0, 4, 20])), takes_good=takes_good))
    world.offer(some_resources(chance))
    for _ in range(chance.randrange(1, 8)):
        event = chance.random()
        if event < 0.5:
            world.offer(some_resources(chance))
        elif event < 0.65:
            world.reconnect()
        elif event < 0.75:
            world.now += chance.random() * 2
            world.take(world.stream.tick(world.now))
        for _ in range(chance.randrange(12)):
            world.step(chance)
    world.settle()
    world.envoy.bad = ()
    world.reconnect()
    world.settle()
    assert holds(world.envoy) == expected(world.there, world.envoy)
    world.log.clear()
    world.reconnect()
    world.settle()
    told = [sent for sent in world.log if isinstance(sent, Send) and (sent.resources or sent.removed)]
    assert told == [], "who has everything is told nothing"


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_is_good_arrives_beside_what_is_bad(seed: int) -> None:
    chance = random.Random(seed)
    there = some_resources(chance)
    bad = SomeBad(seed, 5)
    made = World(Envoy(bad, takes_good=chance.random() < 0.5))
    made.offer(there)
    made.settle()
    missing = {name for name, one in there[CLUSTER].items() if (name, one.version) in bad}
    missing |= {name for name, one in there[CLUSTER].items() if one.clusters & missing}  # not sent without its parts
    assert set(made.envoy.held[CLUSTER]) == set(there[CLUSTER]) - missing
    for name, one in there[LISTENER].items():
        good = (name, one.version) not in bad and not one.clusters & missing
        assert (name in made.envoy.held[LISTENER]) == good, name
