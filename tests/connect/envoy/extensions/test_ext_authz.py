"""`builtin/ext-authz`: requests and connections, gRPC and HTTP; the recorded filter is in the replay."""

from __future__ import annotations

from typing import Any

from meshtest.extending import extended, filters_of, http_filters_of, sidecar, the_manager

from meshagent.connect.envoy.render import render

LOCAL = {"Target": {"URI": "localhost:9191"}}


def test_requests_are_authorized_over_http() -> None:
    config = {
        "HttpService": {
            **LOCAL,
            "PathPrefix": "/check",
            "AuthorizationRequest": {
                "AllowedHeaders": [{"Prefix": "x-", "IgnoreCase": True}, {"SafeRegex": "y.*"}],
                "HeadersToAdd": [{"Key": "a", "Value": "b"}],
            },
            "AuthorizationResponse": {"AllowedUpstreamHeaders": [{"Exact": "user"}]},
        },
        "ClearRouteCache": True,
        "MetadataContextNamespaces": ["mine", "consul"],
        "BootstrapMetadataLabelsKey": "labels",
        "WithRequestBody": {"MaxRequestBytes": 100, "PackAsBytes": True},
    }
    found = extended("builtin/ext-authz", {"Config": config}, required=True)
    made = the_manager(found, "public_listener")["http_filters"][-2]["typed_config"]
    assert made["http_service"] == {
        "server_uri": {"uri": "http://127.0.0.1:9191", "cluster": "local_ext_authz", "timeout": "1s"},
        "path_prefix": "/check",
        "authorization_request": {"headers_to_add": [{"key": "a", "value": "b"}]},
        "authorization_response": {"allowed_upstream_headers": {"patterns": [{"exact": "user"}]}},
    }
    patterns = [{"prefix": "x-", "ignore_case": True}, {"safe_regex": {"regex": "y.*"}}]
    assert made["allowed_headers"] == {"patterns": patterns}
    assert made["failure_mode_allow"] is False, "a required one lets nothing pass when it does not answer"
    assert made["metadata_context_namespaces"] == ["consul", "mine"]
    assert "typed_extension_protocol_options" not in found.clusters["local_ext_authz"]


def test_connections_are_authorized_over_grpc() -> None:
    found = extended("builtin/ext-authz", {"Config": {"GrpcService": LOCAL}}, protocol="tcp")
    names = [one["name"] for one in filters_of(found, "public_listener")]
    assert names[-2:] == ["envoy.filters.network.ext_authz", "envoy.filters.network.tcp_proxy"]
    options = {"InsertOptions": {"Location": "First"}}
    found = extended("builtin/ext-authz", {"Config": {"GrpcService": LOCAL}, **options}, protocol="tcp")
    assert filters_of(found, "public_listener")[0]["name"] == "envoy.filters.network.ext_authz"


def test_connections_cannot_be_over_http() -> None:
    arguments: dict[str, Any] = {"Config": {"HttpService": LOCAL}}
    assert extended("builtin/ext-authz", arguments, protocol="tcp") == render(sidecar(protocol="tcp"))


def test_a_service_of_the_mesh_authorizes() -> None:
    config = {"GrpcService": {"Target": {"Service": {"Name": "db"}}}}
    options = {"Location": "AfterFirstMatch", "FilterName": "envoy.filters.http.rbac"}
    found = extended("builtin/ext-authz", {"Config": config, "InsertOptions": options})
    names = http_filters_of(found, "public_listener")
    assert names[names.index("rbac") + 1] == "ext_authz"
    assert "local_ext_authz" not in found.clusters
