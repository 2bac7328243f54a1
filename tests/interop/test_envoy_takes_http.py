"""A real Envoy takes all that entries can say of requests, at once and one by one (surface rows X6, X7, X13, M76)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from meshtest.certificates import make_ca, make_leaf
from meshtest.envoygolden import entries
from meshtest.envoystatic import refusal
from meshtest.envoyworld import chain_of, snapshot_of

from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.rate_limits import read_limits
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import Upstream
from meshagent.connect.envoy.render import render
from meshagent.connect.intentions import of_entries
from meshagent.connect.mesh_settings import MeshSettings, Normalization
from meshagent.connect.observing import Observing
from meshagent.connect.peers import Trust
from meshagent.connect.snapshot import Cluster, ProxySnapshot, outbound_of

AUTHORITY = make_ca()
ROOT = AUTHORITY.pem.decode()
CERTIFICATE, KEY = (one.decode() for one in make_leaf(AUTHORITY, "web.example"))
KEYS = entries("jwt")["jwt-provider", "local"].json_web_key_set.local.jwks  # type: ignore[attr-defined]

PROVIDERS = (
    {
        "Name": "local", "Issuer": "https://a", "Audiences": ["x"], "JSONWebKeySet": {"Local": {"JWKS": KEYS}},
        "Locations": [{"Header": {"Name": "x-t", "ValuePrefix": "T ", "Forward": True}}, {"Cookie": {"Name": "c"}}],
        "Forwarding": {"HeaderName": "x-p", "PadForwardPayloadHeader": True}, "CacheConfig": {"Size": 5},
    },
    {
        "Name": "remote",
        "JSONWebKeySet": {
            "Remote": {
                "URI": "https://idp.example/keys", "CacheDuration": "90s", "FetchAsynchronously": True,
                "RequestTimeoutMs": 250,
                "RetryPolicy": {"NumRetries": 2, "RetryPolicyBackOff": {"BaseInterval": "1s", "MaxInterval": "9s"}},
                "JWKSCluster": {"TLSCertificates": {"TrustedCA": {"InlineString": ROOT}}},
            }
        },
    },
)  # fmt: skip
ASKS = {"Providers": [{"Name": "local", "VerifyClaims": [{"Path": ["a", "b"], "Value": "x"}]}, {"Name": "remote"}]}
SOURCES = [
    {"Name": "cron", "Action": "audit"},
    {"Name": "w(eb", "Peer": "east", "Action": "allow"},
    {
        "Name": "*",
        "Permissions": [
            {"Action": "deny", "HTTP": {"PathRegex": "/[a-z]+", "Methods": ["GET", "M.S"]}},
            {
                "Action": "allow", "JWT": ASKS,
                "HTTP": {
                    "PathPrefix": "/a",
                    "Header": [
                        {"Name": "x-a", "Contains": "é", "IgnoreCase": True, "Invert": True},
                        {"Name": ":authority", "Suffix": "x"},
                    ],
                },
            },
        ],
    },
]  # fmt: skip
EDITS = {"Add": {"x-a": "100% %REQ(:path)%"}, "Set": {"Host": "h", "x-b": ""}, "Remove": ["x-c", "host"]}
ROUTES: list[dict[str, Any]] = [
    {
        "Match": {"HTTP": {"PathExact": "/a", "CaseInsensitive": True, "Methods": ["GET"]}},
        "Destination": {
            "PrefixRewrite": "/b", "RequestTimeout": "-1s", "IdleTimeout": "250ms", "RequestHeaders": EDITS,
            "ResponseHeaders": EDITS, "Mirror": {"Service": "other", "Percent": 12.5},
            "Fault": {"Delay": "10ms", "AbortStatus": 503, "AbortPercent": 0.001, "Header": "X-Try"},
        },
    },
    {
        "Match": {"HTTP": {"PathRegex": "/r[0-9]", "QueryParam": [{"Name": "q", "Regex": "x+"}]}},
        "Destination": {"NumRetries": 3, "RetryOn": ["reset"], "RetryOnStatusCodes": [503], "ServiceSubset": "v1"},
    },
    {"Destination": {"Redirect": {"HostRedirect": "h", "PortRedirect": 81, "ResponseCode": 303, "StripQuery": True}}},
]  # fmt: skip
ENTRIES = (
    *({"Kind": "service-defaults", "Name": name, "Protocol": "http"} for name in ("api", "other", "plain")),
    {
        "Kind": "service-resolver", "Name": "api", "Subsets": {"v1": {}}, "Fault": {"AbortStatus": 418},
        "LoadBalancer": {
            "Policy": "ring_hash",
            "HashPolicies": [
                {"Field": "cookie", "FieldValue": "c", "CookieConfig": {"Session": True}, "Terminal": True},
                {"SourceIP": True},
            ],
        },
    },
    {
        "Kind": "service-splitter", "Name": "api",
        "Splits": [
            {"Weight": 0.01, "ServiceSubset": "v1", "RequestHeaders": EDITS, "ResponseHeaders": EDITS},
            {"Weight": 99.99, "Service": "other"},
        ],
    },
    {"Kind": "service-router", "Name": "api", "Routes": ROUTES},
)  # fmt: skip
LIMITS = {
    "InstanceLevel": {
        "RequestsPerSecond": 0.5, "RequestsMaxBurst": 3,
        "Routes": [{"PathRegex": "/[0-9]", "RequestsPerSecond": 7}, {"PathExact": "/x", "RequestsPerSecond": 1e6}],
    },
    "PerIdentity": {"RequestsPerSecond": 10}, "ConnectionsPerSecond": 1000,
}  # fmt: skip


def snapshot(protocol: str, **more: Any) -> ProxySnapshot:
    """The sidecar of `web` with everything."""
    entry = parse({"Kind": "service-intentions", "Name": "web", "Sources": SOURCES, "JWT": ASKS})
    assert isinstance(entry, ServiceIntentions)
    assert entry.problem() == ""
    providers = [parse({"Kind": "jwt-provider", **one}) for one in PROVIDERS]
    assert [one.problem() for one in providers] == ["", ""]
    configs: dict[str, dict[str, Any]] = {
        "api": {"l7": {"fault_delay": "1s", "num_retries": 2, "retry_on": "5xx", "per_try_timeout": "1s"}},
        "plain": {"l7": {"mirror": "api", "mirror_percent": 1, "fault_abort_status": 500, "fault_header": "x"}},
    }
    outbound = [
        outbound_of(Upstream(destination_name=name, local_bind_port=9000 + at, config=config), chain_of(name, *ENTRIES))
        for at, (name, config) in enumerate(configs.items())
    ]
    targets = {id_: one for it in outbound if it.chain is not None for id_, one in it.chain.targets.items()}
    held = {id_: Cluster(one, (f"spiffe://td/ns/default/dc/dc1/svc/{one.service}",)) for id_, one in targets.items()}
    base = snapshot_of()
    assert base.inbound is not None
    made = msgspec.structs.replace(
        base, roots=(ROOT,), leaf_chain=CERTIFICATE, leaf_key=KEY, intentions=tuple(of_entries([entry])),
        jwt_providers=tuple(one.normalised() for one in providers if isinstance(one, JWTProvider)),
        trusts=(Trust("east", "east.consul", (ROOT,), incoming=True),), outbound=tuple(outbound), clusters=held,
        inbound=msgspec.structs.replace(base.inbound, protocol=protocol, request_timeout_ms=0, idle_timeout_ms=5),
        rate_limits=read_limits(LIMITS),
        observing=Observing(otlp_endpoint="https://otlp.example", otlp_headers={"k": "5%"}, sampling_percent=0.5),
        mesh=MeshSettings(normalization=Normalization(True, True, "UNESCAPE_AND_REDIRECT", "DROP_HEADER")),
    )  # fmt: skip
    result: ProxySnapshot = msgspec.structs.replace(made, **more)
    return result


@pytest.mark.parametrize("allow", [True, False])
@pytest.mark.parametrize("protocol", ["http", "http2", "grpc", "tcp"])
def test_all_at_once(tmp_path: Path, protocol: str, allow: bool) -> None:
    assert refusal(render(snapshot(protocol, default_allow=allow)), tmp_path) == ""


def test_who_asks_may_stay_untold(tmp_path: Path) -> None:
    assert refusal(render(snapshot("http", mesh=MeshSettings(sanitize_xfcc=True))), tmp_path) == ""
