"""Intentions as Envoy's RBAC: what a real Consul renders, and the same decisions as the built-in proxy's."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings
from meshtest import ROOT
from meshtest.envoygolden import TRUST_DOMAIN, entries, filters, recorded, unordered
from meshtest.envoyrules import Asked, rbac_allows

from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.service_intentions import IntentionJWT, ServiceIntentions
from meshagent.catalog.entries.table import parse
from meshagent.connect import spiffe
from meshagent.connect.envoy import rbac, wire
from meshagent.connect.intentions import Default, Intention, decide, matching
from meshagent.connect.peers import Trust
from meshagent.connect.permissions import HttpRequest, decide_request
from meshagent.connect.proxy.http.tokens import claims_fit

INTENTIONS = json.loads((ROOT / "tests/data/golden/mesh/intentions.json").read_text())
DOMAIN, PEER_DOMAIN = "11111111-2222-3333-4444-555555555555.consul", "99999999-2222-3333-4444-555555555555.consul"
TRUSTS = (Trust("east", PEER_DOMAIN, ("<pem>",), incoming=True),)
ISSUERS = {"idp": "https://idp.example", "other": "https://other.example"}
PROVIDERS = tuple(JWTProvider(name=name, issuer=issuer) for name, issuer in ISSUERS.items())


def intentions_of(written: list[ServiceIntentions], destination: str) -> list[Intention]:
    by_name = {one.name: one for one in written}
    return matching(by_name.get, destination)


def uri(source: str, domain: str = DOMAIN) -> str:
    return spiffe.format(spiffe.service_id(domain, "dc2", source))


def without_auditor(value: Any) -> Any:
    """Consul lists `auditor` (precedence 6) though `*` to `api` (8) decides; see the module's docstring."""
    if isinstance(value, dict):
        return {key: without_auditor(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_auditor(one) for one in value if "/svc/auditor$" not in json.dumps(one)]
    return value


class TestRecorded:
    """What Consul 1.20 renders."""

    @pytest.mark.parametrize(
        ("name", "service"),
        [("http-l7-intentions", "web"), ("http-l7-intentions", "api"), ("http-l7-intentions-default-allow", "api"),
         ("jwt", "api"), ("grpc", "api"), ("grpc", "web"), ("router", "web"), ("http2", "api")],
    )  # fmt: skip
    def test_of_requests(self, name: str, service: str) -> None:
        known = entries(name)
        written = [one for one in known.values() if isinstance(one, ServiceIntentions)]
        providers = [one for one in known.values() if isinstance(one, JWTProvider)]
        allow = recorded(name)["default_intention_policy"] == "allow"
        made = rbac.http(intentions_of(written, service), allow, TRUST_DOMAIN, (), providers)
        (consul,) = filters(name, f"{service}-sidecar-proxy", "envoy.filters.http.rbac")
        assert unordered(made) == unordered(without_auditor(consul) if service == "api" else consul)
        assert wire.encode(made["typed_config"])

    @pytest.mark.parametrize(("name", "service"), [("tcp", "web"), ("tcp", "api"), ("tcp-default-allow", "api")])
    def test_of_connections(self, name: str, service: str) -> None:
        written = [one for one in entries(name).values() if isinstance(one, ServiceIntentions)]
        allow = recorded(name)["default_intention_policy"] == "allow"
        made = rbac.network(intentions_of(written, service), allow, TRUST_DOMAIN)
        (consul,) = filters(name, f"{service}-sidecar-proxy", "envoy.filters.network.rbac")
        assert unordered(made) == unordered(consul)
        assert wire.encode(made["typed_config"])


def listed(name: str) -> list[ServiceIntentions]:
    """The intentions of a recorded set, as entries."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in INTENTIONS["sets"][name]["list"]["body"]:
        source = {"Name": one["SourceName"], "Peer": one.get("SourcePeer", "")}
        source |= {key: one[key] for key in ("Action", "Permissions") if key in one}
        found.setdefault(one["DestinationName"], []).append(source)
    entries = (parse({"Kind": "service-intentions", "Name": to, "Sources": them}) for to, them in found.items())
    return [one.normalised() for one in entries if isinstance(one, ServiceIntentions)]


ASKED = [
    row for row in INTENTIONS["rows"]
    if row["authorize"]["status"] == 200 and "*" not in {row["source"], row["destination"]}  # nobody is called `*`
]  # fmt: skip


def test_the_recorded_decisions() -> None:
    """What Consul answered a proxy about a connection, Envoy decides with our rules."""
    assert len(ASKED) > 200
    for row in ASKED:
        found = intentions_of(listed(row["set"]), row["destination"])
        rules = rbac.network(found, row["default"].endswith("allow"), DOMAIN)["typed_config"]["rules"]
        assert rbac_allows(rules, Asked(uri(row["source"]))) is row["authorize"]["body"]["Authorized"], row


# --- the same decisions as the built-in proxy's ---

SOURCES = st.sampled_from(["*", "web", "cron", "web.a", "a b"])
PATHS = st.sampled_from(["/", "/a", "/a/b", "/A", "/v1"])
VALUES = st.sampled_from(["x", "X", "xy", "yx", "é", "É"])
HEADERS = st.lists(st.tuples(st.sampled_from(["x-a", "x-b"]), VALUES), max_size=3)
CLAIMS = st.dictionaries(st.sampled_from(["role", "aud2"]), st.sampled_from(["admin", "x", 1, True, ["admin"]]))


@st.composite
def header_conditions(draw: st.DrawFn) -> dict[str, Any]:
    way = draw(st.sampled_from(["Present", "Exact", "Prefix", "Suffix", "Contains", "Regex"]))
    value = {"Present": True, "Regex": draw(st.sampled_from(["x.*", "[xy]+", "X"]))}.get(way) or draw(VALUES)
    return {
        "Name": draw(st.sampled_from(["x-a", "X-B", ":method", ":authority", "host"])),
        way: value,
        "Invert": draw(st.booleans()),
        "IgnoreCase": draw(st.booleans()),
    }


@st.composite
def requirements(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(["idp", "other", "gone"]), min_size=1, max_size=2, unique=True))
    claim = st.fixed_dictionaries({"Path": st.sampled_from([["role"], ["aud2"], ["deep", "er"]]), "Value": VALUES})
    return {"Providers": [{"Name": name, "VerifyClaims": draw(st.lists(claim, max_size=2))} for name in names]}


@st.composite
def permissions(draw: st.DrawFn) -> dict[str, Any]:
    way = draw(st.sampled_from(["PathPrefix", "PathExact", "PathRegex", ""]))
    path = draw(st.sampled_from(["/.", "/a.*", "/v[0-9]+"])) if way == "PathRegex" else draw(PATHS)
    http: dict[str, Any] = {way: path} if way else {}
    if draw(st.integers(0, 2)) == 0:
        http["Header"] = draw(st.lists(header_conditions(), min_size=1, max_size=2))
    if not http or draw(st.integers(0, 2)) == 0:
        http["Methods"] = draw(st.lists(st.sampled_from(["GET", "PUT", "POST"]), min_size=1, max_size=2, unique=True))
    found: dict[str, Any] = {"Action": draw(st.sampled_from(["allow", "deny"])), "HTTP": http}
    if draw(st.booleans()):
        found["JWT"] = draw(requirements())
    return found


@st.composite
def service_intentions(draw: st.DrawFn, destination: str) -> ServiceIntentions:
    keys = draw(
        st.lists(st.tuples(SOURCES, st.sampled_from(["", "", "", "east", "gone"])), min_size=1, max_size=4, unique=True)
    )
    sources: list[dict[str, Any]] = []
    for source, peer in keys:
        one: dict[str, Any] = {"Name": source, "Peer": peer}
        if destination != "*" and draw(st.booleans()):
            one["Permissions"] = draw(st.lists(permissions(), min_size=1, max_size=4))
        else:
            one["Action"] = draw(st.sampled_from(["allow", "deny", "audit"]))
        sources.append(one)
    entry: dict[str, Any] = {"Kind": "service-intentions", "Name": destination, "Sources": sources}
    if draw(st.integers(0, 3)) == 0:
        entry["JWT"] = draw(requirements())
    made = parse(entry)
    assert isinstance(made, ServiceIntentions)
    assert made.problem() == ""
    result: ServiceIntentions = made.normalised()
    return result


WRITTEN = st.tuples(
    st.one_of(st.just(None), service_intentions("api")), st.one_of(st.just(None), service_intentions("*"))
).map(lambda both: [one for one in both if one is not None])


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    tokens = {name: {"iss": issuer, **draw(CLAIMS)} for name, issuer in ISSUERS.items() if draw(st.booleans())}
    return Asked(
        method=draw(st.sampled_from(["GET", "PUT", "POST"])),
        path=draw(PATHS) + draw(st.sampled_from(["", "?x=/a"])),
        headers=tuple(draw(HEADERS)),
        tokens=tokens,
        authority=draw(st.sampled_from(["api", "x"])),
    )


def seen(asked: Asked) -> HttpRequest:
    """A request as the built-in proxy's filter shows it to permissions."""
    names = dict.fromkeys(name for name, _ in asked.headers)
    headers: dict[str, str | tuple[str, ...]] = {
        ":method": asked.method, ":authority": asked.authority, "host": asked.authority,
        **{name: tuple(value for key, value in asked.headers if key == name) for name in names},
    }  # fmt: skip
    return HttpRequest(asked.method, asked.path.partition("?")[0], headers)


def tokens_of(asked: Asked) -> Any:
    def good(required: IntentionJWT) -> bool:
        return any(
            ref.name in asked.tokens and claims_fit(asked.tokens[ref.name], ref.verify_claims)
            for ref in required.providers
        )

    return good


CALLERS = [(name, peer) for name in ("web", "cron", "web.a", "webXa", "a b") for peer in ("", "east")]


@settings(max_examples=150)
@given(WRITTEN, st.lists(requests(), min_size=8, max_size=8), st.booleans())
def test_of_requests_both_proxies_decide_alike(
    written: list[ServiceIntentions], requested: list[Asked], allow: bool
) -> None:
    found = intentions_of(written, "api")
    rules = rbac.http(found, allow, DOMAIN, TRUSTS, PROVIDERS)["typed_config"]["rules"]
    for source, peer in CALLERS:
        for asked in requested:
            who = Asked(**{**vars(asked), "uri": uri(source, PEER_DOMAIN if peer else DOMAIN)})
            decision = decide_request(found, source, "api", seen(asked), Default(allow), peer, tokens_of(asked))
            assert rbac_allows(rules, who) is decision.allowed, (who, decision.reason)


@given(WRITTEN, st.booleans())
def test_of_connections_both_proxies_decide_alike(written: list[ServiceIntentions], allow: bool) -> None:
    found = intentions_of(written, "api")
    rules = rbac.network(found, allow, DOMAIN, TRUSTS)["typed_config"]["rules"]
    for source, peer in CALLERS:
        decision = decide(found, source, "api", Default(allow), peer)
        assert rbac_allows(rules, Asked(uri(source, PEER_DOMAIN if peer else DOMAIN))) is decision.allowed, decision


@given(WRITTEN, st.booleans())
@example([], True)
def test_envoy_has_all_fields(written: list[ServiceIntentions], allow: bool) -> None:
    found = intentions_of(written, "api")
    assert wire.encode(rbac.http(found, allow, DOMAIN, TRUSTS, PROVIDERS)["typed_config"]) is not None


@pytest.mark.parametrize("allow", [True, False])
def test_what_is_audited_passes_and_is_counted(allow: bool) -> None:
    found = [Intention("web", "api", "audit", 9), Intention("cron", "api", "allow", 9)]
    for made in (rbac.http(found, allow, DOMAIN), rbac.network(found, allow, DOMAIN)):
        config = made["typed_config"]
        assert wire.encode(config)
        for source, would in (("web", False), ("cron", True), ("other", allow)):
            assert rbac_allows(config["rules"], Asked(uri(source))) is (would or source == "web")
            assert rbac_allows(config["shadow_rules"], Asked(uri(source))) is would
    assert "shadow_rules" not in rbac.http(found[1:], allow, DOMAIN)["typed_config"]


class TestPeers:
    """Services of a peer."""

    RULES = (Intention("web", "api", "allow", 9, peer="east"),)

    def rules(self) -> Any:
        return rbac.http(self.RULES, False, DOMAIN, TRUSTS)["typed_config"]["rules"]

    def asked(self, certificate: str, *told: str) -> bool:
        headers = tuple(("x-forwarded-client-cert", one) for one in told)
        return rbac_allows(self.rules(), Asked(certificate, headers=headers))

    def test_come_themselves(self) -> None:
        assert self.asked(uri("web", PEER_DOMAIN))
        assert not self.asked(uri("web"))
        assert not self.asked(uri("cron", PEER_DOMAIN))

    def test_come_through_a_gateway_that_says_who_they_are(self) -> None:
        gateway = f"spiffe://{DOMAIN}/gateway/mesh/dc/dc1"
        told = f"By=x;Hash=1;URI={uri('web', PEER_DOMAIN)}"
        assert self.asked(gateway, told)
        assert self.asked(gateway, f"{told},By=y;URI={gateway}")
        assert not self.asked(gateway)
        assert not self.asked(gateway, f"By=x;Hash=1;URI={uri('cron', PEER_DOMAIN)},By=y;URI={uri('web', PEER_DOMAIN)}")
        assert not self.asked(f"spiffe://{PEER_DOMAIN}/gateway/mesh/dc/dc1", told)
        assert not self.asked(uri("cron"), told)

    def test_whose_services_may_not_call_are_nobody(self) -> None:
        rules = rbac.http(self.RULES, False, DOMAIN, [Trust("east", PEER_DOMAIN, ())])["typed_config"]["rules"]
        assert not rbac_allows(rules, Asked(uri("web", PEER_DOMAIN)))
