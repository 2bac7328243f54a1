"""The replayer against the recordings themselves: fed back they score 100 %, and every mutated answer is seen."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from meshtest.dnstext import QUERY_ID, answer_of, question_bytes
from meshtest.golden import Answer, DnsAnswer, match_dns
from meshtest.placeholders import PLACEHOLDER, Bindings
from meshtest.process import PORT_NAMES
from meshtest.recorded import RecordedTransport
from meshtest.replay import Replay
from meshtest.scenario import Scenario, load, scenario_names

PORTS = {name: 8000 + at for at, name in enumerate(PORT_NAMES)}


def replayed(scenario: Scenario, transport: RecordedTransport) -> set[int]:
    """Numbers of the steps that do not match."""
    bindings = Bindings(ports=PORTS, directory="/d")
    return {one.number for one in Replay(scenario, transport, bindings).run()}


@pytest.fixture(scope="module", params=scenario_names())
def scenario(request: pytest.FixtureRequest) -> Scenario:
    # the recordings' asynchronous waits have no meaning here
    loaded = load(request.param)
    for _, step in loaded.numbered():
        step.pop("eventually", None)
    return loaded


def test_the_recorded_answers_score_100_percent(scenario: Scenario) -> None:
    transport = RecordedTransport(PORTS, "/d")
    assert replayed(scenario, transport) == set()
    assert not [path for path in transport.asked if PLACEHOLDER.search(path)]


class Mutating(RecordedTransport):
    """Changes every answer in one way; `touched` collects the steps where that way applies."""

    def __init__(self, way: str) -> None:
        super().__init__(PORTS, "/d")
        self.way = way
        self.touched: list[dict[str, Any]] = []

    def http(self, step: dict[str, Any], method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        answer = super().http(step, method, path, headers, body)
        changed = self._http(step, answer)
        if changed is None:
            return answer
        self.touched.append(step)
        return changed

    def _http(self, step: dict[str, Any], answer: Answer) -> Answer | None:
        compare = step.get("compare", "")
        if self.way == "status":
            return dataclasses.replace(answer, status=answer.status + 1)
        if compare == "status":
            return None
        if self.way == "extra header":
            return dataclasses.replace(answer, headers={**answer.headers, "x-consul-extra": "1"})
        if self.way == "lost header" and answer.headers:
            return dataclasses.replace(answer, headers=dict(list(answer.headers.items())[1:]))
        if self.way == "body" and not compare:
            return dataclasses.replace(answer, body=self._body(step, answer.body))
        return None

    def _body(self, step: dict[str, Any], body: bytes) -> bytes:
        if "json" not in step["response"]:
            return body + b"!"
        value = json.loads(body)
        if isinstance(value, dict):
            return json.dumps({**value, "Surplus": None}).encode()
        if isinstance(value, list):
            return json.dumps([*value, None]).encode()
        return json.dumps([value]).encode()

    def dns(self, step: dict[str, Any]) -> DnsAnswer:
        answer = super().dns(step)
        if not answer.reply:
            return answer
        if self.way == "status":
            self.touched.append(step)
            return dataclasses.replace(answer, rcode="YXDOMAIN")
        if self.way == "body":
            self.touched.append(step)
            more = [*answer.sections["answer"], "surplus.consul. 0 IN A 192.0.2.1"]
            return dataclasses.replace(answer, sections={**answer.sections, "answer": more})
        return answer


@pytest.mark.parametrize("way", ["status", "extra header", "lost header", "body"])
def test_every_mutated_answer_is_caught(scenario: Scenario, way: str) -> None:
    transport = Mutating(way)
    missed = replayed(scenario, transport)
    touched = {number for number, step in scenario.numbered() if any(step is one for one in transport.touched)}
    assert touched <= missed


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for at, item in enumerate(value) for leaf in leaves(item, (*path, at))]
    return [path]


class OneLeaf(RecordedTransport):
    """Changes the n-th leaf (modulo their number) of each compared JSON body."""

    def __init__(self, turn: int) -> None:
        super().__init__(PORTS, "/d")
        self.turn = turn
        self.touched: list[dict[str, Any]] = []

    def body(self, step: dict[str, Any]) -> bytes:
        recorded = step["response"].get("json")
        if recorded is None or step.get("compare"):
            return super().body(step)
        open_to_any = ("<any>", "<index>")
        paths = [
            path
            for path in leaves(recorded)
            if not set(path) & set(step.get("ignore", ())) and _at(recorded, path) not in open_to_any
        ]
        value = json.loads(super().body(step))
        if not paths or any(PLACEHOLDER.search(str(key)) for key in paths[self.turn % len(paths)]):
            return super().body(step)
        path = paths[self.turn % len(paths)]
        if not path:
            changed = {"was": value}
        else:
            changed = value
            holder = _at(changed, path[:-1])
            holder[path[-1]] = {"was": holder[path[-1]]}
        self.touched.append(step)
        return json.dumps(changed, indent=4).encode()


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("turn", [0, 7, 23])
def test_a_changed_leaf_is_caught_wherever_it_is(scenario: Scenario, turn: int) -> None:
    transport = OneLeaf(turn)
    missed = replayed(scenario, transport)
    touched = {number for number, step in scenario.numbered() if any(step is one for one in transport.touched)}
    assert touched <= missed


def test_an_index_that_goes_back_is_caught() -> None:
    class Backwards(RecordedTransport):
        def _value(self, found: Any) -> Any:
            value = super()._value(found)
            return 1000 - value if found["bound"] == "index" else value

    # kv-cas shows four indexes; of four that fall only one is consistent
    assert len(replayed(load("kv-cas"), Backwards(PORTS, "/d"))) == 3


def test_a_blocking_query_woken_by_the_wrong_write_is_caught() -> None:
    class Eager(RecordedTransport):
        def http(self, step: dict[str, Any], *args: Any) -> Answer:
            return dataclasses.replace(super().http(step, *args), elapsed_s=0.5)

    scenario = load("blocking")
    unwoken = {
        number
        for number, step in scenario.numbered()
        if "meanwhile" in step and not step["response"].get("woken") and "wait=" in step["request"]["path"]
    }
    assert unwoken
    assert replayed(scenario, Eager(PORTS, "/d")) == unwoken


def test_the_recorded_packets_read_as_recorded() -> None:
    """Row D: what dnspython reads in the recorded bytes is the recorded text, for every packet."""
    read = 0
    for name in scenario_names():
        for _, step in load(name).numbered():
            if "dns" in step["request"] and "wire" in step["response"]:
                answer = answer_of(base64.b64decode(step["response"]["wire"]), check_id=False)
                wire_ports = {"server": int(answer.sections["answer"][0].split()[6])} if "<port" in str(step) else {}
                assert match_dns(step, answer, Bindings(ports=wire_ports)) == [], step["request"]
                assert answer.size == step["response"]["size"]
                read += 1
    assert read > 500


def test_questions_are_built_as_asked() -> None:
    query = {"name": "Db.service.consul", "type": "TYPE99", "edns": 4096, "do": True, "rd": False, "ecs": "10.0.0.1/32"}
    packet = question_bytes(query)
    assert int.from_bytes(packet[:2]) == QUERY_ID
    read = answer_of(packet)
    assert (read.sections["question"], read.flags) == (["Db.service.consul. IN TYPE99"], [])
    assert read.edns is not None
    assert (read.edns["udp"], read.edns["flags"], read.edns["ecs"]) == (4096, 0x8000, "10.0.0.1/32/0")


def test_a_packet_that_does_not_parse_is_a_difference() -> None:
    assert answer_of(b"\x42\x42\x81").problem
    assert answer_of(b"\x00\x01" + question_bytes({"name": "a.", "type": "A"})[2:]).problem.startswith("id:")
    assert not answer_of(None).reply
