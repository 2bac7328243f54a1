"""The matcher of the golden answers: for each rule of their README one answer that it takes and one that it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from meshtest.golden import (
    Answer,
    DnsAnswer,
    leave_out,
    match_dns,
    match_http,
    prometheus_names,
    wait_of,
)
from meshtest.indexes import out_of_order
from meshtest.placeholders import Bindings, Seen, is_pem

U1 = "11111111-2222-4333-8444-555555555555"
U2 = "aaaaaaaa-2222-4333-8444-555555555555"
PEM = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"


def bindings() -> Bindings:
    return Bindings(ports={"http": 8500, "server": 8300}, directory="/d/x")


def matches(expected: Any, actual: Any, bound: Bindings | None = None, **step: Any) -> bool:
    whole = {
        "request": {"method": "GET", "path": step.pop("path", "/v1/x")},
        "response": {"status": 200, "json": expected, **step.pop("response", {})},
        **step,
    }
    return not match_http(whole, Answer(200, {}, json.dumps(actual).encode()), bound or bindings())


def answer_matches(response: dict[str, Any], answer: Answer, path: str = "/v1/x", **step: Any) -> bool:
    return not match_http({"request": {"path": path}, "response": response, **step}, answer, bindings())


class TestPlaceholders:
    @pytest.mark.parametrize(
        ("expected", "taken", "refused"),
        [
            ("<uuid:1>", U1, "not-a-uuid"),
            ("<uuid:1>", U1, 5),
            ("<hash:1>", "abc=", ""),
            ("<hash:1>", 123, None),
            ("<token:1>", "eyJ=", ""),
            ("<index:1>", 5, 0),
            ("<index>", 5, 0),
            ("<index>", 5, -1),
            ("<port:http>", 8500, 8501),
            ("<port:server>", "8300", "8301"),
            ("<time>", "2024-01-02T03:04:05.678Z", "0001-01-01T00:00:00Z"),
            ("<time>", "2024-01-02T03:04:05+02:00", "yesterday"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2024-01-02T03:04:05Z"),
            ("<serial>", 17, "x"),
            ("<hex:3>", "aa:0b:cc", "aa:0b"),
            ("<pem:CERTIFICATE>", PEM, PEM.replace("CERTIFICATE", "EC PRIVATE KEY")),
            ("<version>", "1.20.1", ""),
            ("<number>", -1.5, "many"),
            ("<ms>", "0", "soon"),
            ("<dir>", "/d/x", "/d/y"),
            ("at <dir>/data", "at /d/x/data", "at /d/y/data"),
            ("<hidden>", "<hidden>", "secret"),  # Consul's own text
            ("node-<uuid:1>.x", f"node-{U1}.x", "node-1.x"),
            ("at 127.0.0.1:<port:http>", "at 127.0.0.1:8500", "at 127.0.0.1:1"),
            ("index <index> now", "index 12 now", "index none now"),
        ],
    )
    def test_takes_and_refuses(self, expected: str, taken: Any, refused: Any) -> None:
        assert matches({"k": expected}, {"k": taken})
        assert not matches({"k": expected}, {"k": refused})

    def test_any_takes_anything(self) -> None:
        assert matches({"k": "<any>"}, {"k": [1, None]})
        assert not matches({"k": "<any>"}, {})

    def test_a_number_is_one_value_and_other_numbers_are_others(self) -> None:
        assert matches(["<uuid:1>", "<uuid:1>", "<uuid:2>"], [U1, U1, U2])
        assert not matches(["<uuid:1>", "<uuid:1>"], [U1, U2])
        assert not matches(["<uuid:1>", "<uuid:2>"], [U1, U1])

    def test_it_binds_across_steps_and_is_sent_in_requests(self) -> None:
        bound = bindings()
        assert matches({"ID": "<uuid:1>", "At": "<index:4>"}, {"ID": U1, "At": 9}, bound)
        assert bound.fill({"path": "/v1/x/<uuid:1>?index=<index:4>", "N": "<index:4>", "P": "<port:http>"}) == {
            "path": f"/v1/x/{U1}?index=9",
            "N": 9,
            "P": 8500,
        }
        assert not matches({"ID": "<uuid:1>"}, {"ID": U2}, bound)

    def test_a_mismatch_leaves_no_bindings(self) -> None:
        bound = bindings()
        assert not matches({"ID": "<uuid:1>", "n": 1}, {"ID": U1, "n": 2}, bound)
        assert matches({"ID": "<uuid:1>"}, {"ID": U2}, bound)

    def test_weak_bindings_serve_requests_only(self) -> None:
        bound = bindings()
        bound.bind_weakly([{"ID": "<uuid:1>"}], [{"ID": U1}])
        assert bound.fill_text("/<uuid:1>") == f"/{U1}"
        assert matches({"ID": "<uuid:1>"}, {"ID": U2}, bound)
        assert bound.fill_text("/<uuid:1>") == f"/{U2}"

    def test_pem(self) -> None:
        assert is_pem(PEM, "CERTIFICATE")
        assert not is_pem(PEM.replace("MAMC", "####"), "CERTIFICATE")
        assert not is_pem(PEM.replace("MAMC", "AAMC"), "CERTIFICATE")


class TestIndexOrder:
    @pytest.mark.parametrize(
        ("seen", "wrong"),
        [
            ([(1, 5), (2, 7), (2, 7), (3, 9)], []),
            ([(1, 5), (2, 5)], [(1, 5)]),  # a higher number is a higher value
            ([(1, 5), (1, 5), (1, 6), (2, 9)], [(1, 6)]),  # the same number is the same value
            ([(1, 50), (2, 60), (3, 1), (4, 70)], [(3, 1)]),
            ([(4, 70), (1, 50), (2, 60)], []),  # order in time does not matter
            ([], []),
        ],
    )
    def test_the_largest_consistent_set_stays(self, seen: list[tuple[int, int]], wrong: list[tuple[int, int]]) -> None:
        found = out_of_order([Seen(number, value, 0) for number, value in seen])
        assert len(found) == len(wrong)
        if len({value for _, value in seen}) == len(seen):
            assert [(one.number, one.value) for one in found] == wrong


class TestJson:
    @pytest.mark.parametrize(
        ("expected", "taken", "refused"),
        [
            ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": 1, "b": 2}),
            ({"a": None}, {"a": None}, {"a": []}),
            ({"a": None}, {"a": None}, {}),
            ({"a": []}, {"a": []}, {"a": None}),
            ({}, {}, {"a": None}),
            (True, True, 1),
            (1, 1, True),
            (0, 0, False),
            (1, 1.0, "1"),
            ("x", "x", "X"),
            ([1, 2], [1, 2], [2, 1]),
            ([1], [1], [1, 1]),
            ({"<uuid:1>": 1}, {U1: 1}, {"u": 1}),
        ],
    )
    def test_compares_by_value(self, expected: Any, taken: Any, refused: Any) -> None:
        assert matches(expected, taken)
        assert not matches(expected, refused)

    def test_unordered_true_makes_every_list_a_set(self) -> None:
        rows = [{"k": [1, 2]}, {"k": [3]}]
        assert matches(rows, [{"k": [3]}, {"k": [2, 1]}], unordered=True)
        assert not matches(rows, [{"k": [3]}, {"k": [2, 2]}], unordered=True)
        assert not matches([1, 1, 2], [1, 2, 2], unordered=True)

    def test_unordered_names_only_those_lists(self) -> None:
        rows = [{"Checks": [1, 2], "Tags": [1, 2]}, {"Checks": [], "Tags": []}]
        turned = [{"Checks": [], "Tags": []}, {"Checks": [2, 1], "Tags": [1, 2]}]
        assert matches(rows, turned, unordered=["json", "Checks"])
        assert not matches(rows, turned, unordered=["Checks"])
        turned[1]["Tags"] = [2, 1]
        assert not matches(rows, turned, unordered=["json", "Checks"])

    def test_a_set_finds_the_bindings_that_fit_all_its_elements(self) -> None:
        expected = [{"ID": "<uuid:1>", "n": "<uuid:2>"}, {"ID": "<uuid:2>", "n": "x"}]
        assert matches(expected, [{"ID": U2, "n": "x"}, {"ID": U1, "n": U2}], unordered=True)
        assert not matches(expected, [{"ID": U2, "n": "x"}, {"ID": U1, "n": U1}], unordered=True)

    def test_ignore_leaves_out_keys_and_what_they_empty(self) -> None:
        assert leave_out({"a": {"v": 1}, "b": {}, "c": [{"v": 1, "d": 2}]}, {"v"}) == {"b": {}, "c": [{"d": 2}]}
        assert matches({"a": {"v": 1}, "b": 1}, {"b": 1}, ignore=["v"])
        assert not matches({"a": {"v": 1}, "b": 1}, {"b": 2}, ignore=["v"])

    def test_as_text_is_byte_for_byte(self) -> None:
        response = {"status": 200, "text": '[\n    "127.0.0.1:<port:server>"\n]\n'}
        assert answer_matches(response, Answer(200, {}, b'[\n    "127.0.0.1:8300"\n]\n'), as_text=True)
        assert not answer_matches(response, Answer(200, {}, b'["127.0.0.1:8300"]'), as_text=True)

    def test_pretty_wants_four_spaces(self) -> None:
        response = {"status": 200, "json": {"a": 1}, "pretty": True}
        assert answer_matches(response, Answer(200, {}, b'{\n    "a": 1\n}'))
        assert not answer_matches(response, Answer(200, {}, b'{"a": 1}'))

    def test_base64_is_the_bytes(self) -> None:
        assert answer_matches({"status": 200, "base64": "AAE="}, Answer(200, {}, b"\x00\x01"))
        assert not answer_matches({"status": 200, "base64": "AAE="}, Answer(200, {}, b"\x00\x02"))

    def test_no_body_is_an_empty_body(self) -> None:
        assert answer_matches({"status": 200}, Answer(200, {}, b""))
        assert not answer_matches({"status": 200}, Answer(200, {}, b"true"))

    def test_what_is_not_json_is_a_difference(self) -> None:
        assert not answer_matches({"status": 200, "json": {}}, Answer(200, {}, b"oops"))


class TestHeaders:
    def test_listed_ones_must_be_there_whatever_their_case(self) -> None:
        response = {"status": 200, "headers": {"X-Consul-Index": "<index:1>", "Vary": "Accept-Encoding"}}
        assert answer_matches(response, Answer(200, {"x-consul-index": "5", "vary": "Accept-Encoding"}, b""))
        assert not answer_matches(response, Answer(200, {"vary": "Accept-Encoding"}, b""))
        assert not answer_matches(response, Answer(200, {"x-consul-index": "5", "vary": "Origin"}, b""))

    @pytest.mark.parametrize("name", ["x-consul-token", "x-cache", "age", "allow", "location", "content-encoding"])
    def test_closed_families_must_be_absent(self, name: str) -> None:
        assert not answer_matches({"status": 200, "headers": {}}, Answer(200, {name: "1"}, b""))

    def test_other_headers_do_not_matter(self) -> None:
        assert answer_matches({"status": 200, "headers": {}}, Answer(200, {"date": "now", "server": "x"}, b""))


class TestCompareModes:
    def test_status(self) -> None:
        response = {"status": 200, "headers": {"Vary": "x"}, "text": "a"}
        assert answer_matches(response, Answer(200, {}, b"b"), compare="status")
        assert not answer_matches(response, Answer(201, {}, b"a"), compare="status")

    def test_headers(self) -> None:
        response = {"status": 200, "headers": {"Vary": "x"}, "text": "a"}
        assert answer_matches(response, Answer(200, {"vary": "x"}, b"b"), compare="headers")
        assert not answer_matches(response, Answer(200, {}, b"a"), compare="headers")

    def test_shape(self) -> None:
        shape = {"a": "string", "l": ["number"], "o": {"<any>": {"b": "bool"}}, "e": [], "n": "null"}
        answer = {"a": "x", "l": [1, 2.5], "o": {"k": {"b": True}}, "e": [1], "n": None, "more": 1}
        assert matches(shape, answer, compare="shape")
        for wrong in ({"a": 1}, {"l": ["1"]}, {"l": []}, {"o": {}}, {"o": {"k": {"b": 1}}}, {"e": {}}, {"n": 0}):
            assert not matches(shape, answer | wrong, compare="shape"), wrong
        assert not matches(shape, {key: value for key, value in answer.items() if key != "a"}, compare="shape")

    def test_keys(self) -> None:
        assert matches(["A", "B"], {"B": 1, "A": 2}, compare="keys")
        assert not matches(["A", "B"], {"B": 1}, compare="keys")
        assert not matches(["A", "B"], {"A": 1, "B": 1, "C": 1}, compare="keys")

    def test_metric_names(self) -> None:
        answer = {"Gauges": [{"Name": "consul.a"}, {"Name": "consul.b"}], "Samples": []}
        assert matches({"Gauges": ["consul.a"], "Samples": []}, answer, compare="metric-names")
        assert not matches({"Gauges": ["consul.c"]}, answer, compare="metric-names")
        assert not matches({"Points": []}, answer, compare="metric-names")

    def test_prometheus_names(self) -> None:
        text = b'# TYPE consul_a gauge\nconsul_b{x="1"} 2\nconsul_c 3\n'
        assert prometheus_names(text.decode()) == {"consul_a", "consul_b", "consul_c"}
        response = {"status": 200, "json": ["consul_a", "consul_b"]}
        assert answer_matches(response, Answer(200, {}, text), compare="prometheus-names")
        assert not answer_matches({**response, "json": ["consul_d"]}, Answer(200, {}, text), compare="prometheus-names")


class TestWoken:
    def test_woken_is_before_the_wait_ended(self) -> None:
        response = {"status": 200, "woken": True}
        path = "/v1/kv/w?index=5&wait=1500ms"
        assert answer_matches(response, Answer(200, {}, b"", elapsed_s=0.5), path)
        assert not answer_matches(response, Answer(200, {}, b"", elapsed_s=1.6), path)

    @pytest.mark.parametrize(
        ("path", "seconds"),
        [
            ("/v1/x?wait=1500ms", 1.5),
            ("/v1/x?index=1&wait=5s", 5),
            ("/v1/x?wait=1m", 60),
            ("/v1/x", None),
            ("/?wait=zz", None),
        ],
    )
    def test_the_wait_is_read_from_the_path(self, path: str, seconds: float | None) -> None:
        assert wait_of(path) == seconds


class TestDns:
    RESPONSE = {
        "rcode": "NOERROR",
        "flags": ["qr", "aa", "rd"],
        "question": ["w. IN A"],
        "answer": ["w. 0 IN A 10.0.0.1", "w. 0 IN A 10.0.0.2"],
        "authority": [],
        "additional": [],
        "size": 60,
    }

    def answer(self, **more: Any) -> DnsAnswer:
        sections = {"question": ["w. IN A"], "answer": ["w. 0 IN A 10.0.0.2", "w. 0 IN A 10.0.0.1"]}
        return DnsAnswer(
            **{"reply": True, "rcode": "NOERROR", "flags": ["aa", "qr", "rd"], "sections": sections, "size": 99, **more}
        )

    def ok(self, got: DnsAnswer, /, **response: Any) -> bool:
        return not match_dns({"response": {**self.RESPONSE, **response}}, got, bindings())

    def test_sections_compare_as_sets_and_size_does_not_count(self) -> None:
        assert self.ok(self.answer())
        assert not self.ok(self.answer(sections={"question": ["w. IN A"], "answer": ["w. 0 IN A 10.0.0.1"]}))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"rcode": "NXDOMAIN"},
            {"flags": ["qr", "rd"]},
            {"opcode": 1},
            {"edns": {"udp": 1232}},
            {"reply": False},
            {"problem": "id: expected 0x4242"},
        ],
    )
    def test_the_rest_must_be_equal(self, wrong: dict[str, Any]) -> None:
        assert not self.ok(self.answer(**wrong))

    def test_reply_false(self) -> None:
        assert self.ok(DnsAnswer(reply=False), reply=False)
        assert not self.ok(self.answer(), reply=False)

    def test_pool(self) -> None:
        pool = [f"w. 0 IN A 10.0.0.{n}" for n in range(5)]
        assert self.ok(self.answer(), answer_pool=pool, answer_count=2)
        assert not self.ok(self.answer(), answer_pool=pool, answer_count=3)
        assert not self.ok(self.answer(), answer_pool=pool[2:], answer_count=2)

    def test_a_pool_record_is_drawn_once(self) -> None:
        twice = self.answer(sections={"question": ["w. IN A"], "answer": ["w. 0 IN A 10.0.0.1"] * 2})
        assert not self.ok(twice, answer_pool=["w. 0 IN A 10.0.0.1", "w. 0 IN A 10.0.0.2"], answer_count=2)

    def test_placeholders_in_records(self) -> None:
        soa = "consul. 0 IN SOA ns.consul. h.consul. {} 3600"
        answer = self.answer(sections={"question": ["w. IN A"], "authority": [soa.format(1700000000)]})
        assert self.ok(answer, answer=[], authority=[soa.format("<serial>")])
        assert not self.ok(answer, answer=[], authority=[soa.format("7")])
