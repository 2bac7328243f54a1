"""I/O edge: `meshagent connect envoy`: the bootstrap of an Envoy, printed, or run by one.

    flags, environment ──▶ which registration ──▶ (-register) ──▶ Facts, Wishes ──▶ bootstrap ──▶ stdout | exec

Source: surface rows CL19, X1, X3, X20, M73, N7; developer.hashicorp.com/consul/commands/connect/envoy. Nomad reads the
JSON from standard output: with `-bootstrap` nothing else goes there. What may change here: further flags of ours; those
of Consul keep their meaning.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click
import msgspec

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.envoy_places import authorities, grpc_place, resolved
from meshagent.agent.cli.flags import api_command, switch, text
from meshagent.agent.cli.gateway_flags import gateway_of, place, register, which
from meshagent.agent.cli.output import fail, say
from meshagent.agent.cli.proxy_lookup import registration as registered
from meshagent.agent.cli.proxy_lookup import sidecar_of
from meshagent.catalog.model import AccessLogs
from meshagent.connect.envoy import bootstrap, versions
from meshagent.connect.envoy.bootstrap_parts import Prometheus
from meshagent.errors import MeshError
from meshagent.hostport import join_host_port

__all__ = ["envoy"]

Given = dict[str, Any]


@api_command("envoy", "[-- envoy options]", short_help="Run an Envoy as a proxy of the mesh, or print its bootstrap")
@text("sidecar-for", "Id of the service at this agent whose sidecar it is [CONNECT_SIDECAR_FOR]")
@text("proxy-id", "Id of the registration of the proxy itself [CONNECT_PROXY_ID]")
@text("node-name", "Node of the registration, when it is in the catalog only; needs -proxy-id")
@text("gateway", "It is a gateway: mesh, terminating, ingress or api")
@switch("register", "Register the gateway at the agent first")
@text("service", "With -register: name of the gateway's service")
@text("address", "With -register: ip:port at which it is reached; may be an address template", default=":443")
@text("wan-address", "With -register: ip:port at which other datacenters reach it; may be an address template")
@text("bind-address", "With -register: name=ip:port to listen at instead; repeatable", multiple=True)
@text("deregister-after-critical", "With -register: how long its check may fail until it is removed", default="6h")
@switch("expose-servers", "With -register and -gateway=mesh: its registration says so; servers go directly")
@text("admin-bind", "host:port of Envoy's admin interface", default="localhost:19000")
@text("admin-access-log-path", "File with what is asked there, unless proxy-defaults say it", default="/dev/null")
@text("grpc-addr", "Address of the agent's gRPC: host:port, https://... or unix://... [CONSUL_GRPC_ADDR]")
@text("grpc-ca-file", "File with the authority of that address [CONSUL_GRPC_CACERT]")
@text("grpc-ca-path", "Directory of authorities of that address [CONSUL_GRPC_CAPATH]")
@switch("bootstrap", "Print the bootstrap instead of running Envoy; it holds the token")
@text("envoy-binary", "Path of Envoy; without it the first one on PATH")
@switch("no-central-config", "Ask the agent nothing: its registration has no say in the bootstrap")
@text("prometheus-backend-port", "Port of this host at which metrics are read in Envoy's place")
@text("prometheus-scrape-path", "Path at which metrics are read", default="/metrics")
@text("prometheus-ca-file", "Authority of those who read metrics over TLS")
@text("prometheus-ca-path", "Directory of such authorities")
@text("prometheus-cert-file", "Certificate with which metrics are served over TLS")
@text("prometheus-key-file", "Its key")
@text("envoy-ready-bind-address", "Address at which /ready answers; needs -envoy-ready-bind-port")
@text("envoy-ready-bind-port", "Port at which /ready answers", default=0, kind=click.IntRange(0, 65535))
@switch("omit-deprecated-tags", "Leave out tags of metrics with names from before Consul 1.9")
@switch("ignore-envoy-compatibility", "Run an Envoy of any version")
@switch("enable-config-gen-logging", "Say on standard error what the bootstrap is made from")
def envoy(client: Client, args: tuple[str, ...], **given: Any) -> int:
    """Run an Envoy that is configured by the agent. Words after `--` are given to Envoy."""
    given["sidecar_for"] = given["sidecar_for"] or os.environ.get("CONNECT_SIDECAR_FOR", "")
    given["proxy_id"] = given["proxy_id"] or os.environ.get("CONNECT_PROXY_ID", "")
    kind, name = _gateway(given)
    proxy_id, name = _which(client, given, kind, name)
    _check(given)
    if given["expose_servers"]:
        click.echo("-expose-servers has no effect: servers reach those of other datacenters directly", err=True)
    if given["register"]:
        register(
            client, kind, name, proxy_id,
            lan=given["address"], wan=given["wan_address"], binds=given["bind_address"],
            deregister_after=given["deregister_after_critical"], expose_servers=given["expose_servers"],
        )  # fmt: skip
        if not given["bootstrap"]:
            say(f"Registered service: {name}")
    try:
        made = _bootstrap(client, given, kind, name, proxy_id)
    except MeshError as error:
        raise fail(str(error)) from None
    if given["bootstrap"]:
        say(made)
        return 0
    _run(given, args, made)
    return 0


# --- who it is ------------------------------------------------------------------------------------------------------


def _gateway(given: Given) -> tuple[str, str]:
    """(kind of gateway, name of its service), "" for a sidecar."""
    if given["expose_servers"]:
        if given["gateway"] != "mesh":
            raise fail("'-expose-servers' can only be used for mesh gateways")
        if not given["register"]:
            raise fail("'-expose-servers' requires '-register'")
    return gateway_of(given["gateway"], given["service"])


def _which(client: Client, given: Given, kind: str, name: str) -> tuple[str, str]:
    """(id of the registration, name of the gateway's service)."""
    proxy_id = given["proxy_id"]
    if not proxy_id and given["sidecar_for"]:
        proxy_id = sidecar_of(client, given["sidecar_for"])
    elif not proxy_id and kind:
        proxy_id, name = which(client, proxy_id, kind, name, registers=given["register"])
    if not proxy_id:
        raise fail("No proxy ID specified. One of -proxy-id, -sidecar-for, or -gateway is required")
    return proxy_id, name


def _check(given: Given) -> None:
    """Flags that need each other, or exclude each other."""
    authority = given["prometheus_ca_file"] or given["prometheus_ca_path"]
    tls = (authority, given["prometheus_cert_file"], given["prometheus_key_file"])
    if any(tls) and not all(tls):
        raise fail(
            "Must provide a CA (-prometheus-ca-file or -prometheus-ca-path) as well as -prometheus-cert-file and "
            "-prometheus-key-file to enable TLS for prometheus metrics"
        )
    port = given["prometheus_backend_port"]
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise fail(f"-prometheus-backend-port: {port!r} is no port")
    if given["node_name"] and not given["proxy_id"]:
        raise fail("'-node-name' requires '-proxy-id'")
    if given["register"] and given["node_name"]:
        raise fail("'-register' cannot be used with '-node-name'")
    if given["register"] and not given["gateway"]:
        raise fail("Auto-Registration can only be used for gateways")


# --- what it is told ------------------------------------------------------------------------------------------------


def _bootstrap(client: Client, given: Given, kind: str, name: str, proxy_id: str) -> str:
    """Raises MeshError."""
    environment = os.environ
    ca_file = given["grpc_ca_file"] or environment.get("CONSUL_GRPC_CACERT", "")
    ca_path = given["grpc_ca_path"] or environment.get("CONSUL_GRPC_CAPATH", "")
    place, told = grpc_place(
        client,
        given["grpc_addr"] or environment.get("CONSUL_GRPC_ADDR", ""),
        has_authority=bool(ca_file or ca_path),
    )
    if place.tls and not (ca_file or ca_path):
        ca_file, ca_path = client.endpoint.ca_file, client.endpoint.ca_path
    admin_host, admin_port = bootstrap.split_bind("-admin-bind", given["admin_bind"])
    service: Given = {}
    if not given["no_central_config"]:
        service = _registration(client, proxy_id, given["node_name"])
    proxy = service.get("Proxy") or {}
    cluster = proxy.get("DestinationServiceName") or given["sidecar_for"] or name or proxy_id
    logs = proxy.get("AccessLogs")
    facts = bootstrap.Facts(
        proxy_id=proxy_id,
        cluster=cluster,
        source_service=proxy.get("DestinationServiceName") or service.get("Service") or (given["sidecar_for"] or name),
        node_name=given["node_name"],
        namespace=client.endpoint.query.get("ns", ""),
        partition=client.endpoint.query.get("partition", ""),
        datacenter=service.get("Datacenter") or client.endpoint.query.get("dc", ""),
        grpc=place,
        ca_pem=authorities(ca_file, ca_path, "-grpc-ca") if place.tls else "",
        token=client.endpoint.token,
        admin_address=resolved(admin_host or "localhost", "admin bind address"),
        admin_port=admin_port,
        admin_access_log_path=given["admin_access_log_path"] or "/dev/null",
        access_logs=msgspec.convert(logs, AccessLogs) if logs else None,
        prometheus=_prometheus(given),
        ready_bind=_ready(given, kind),
        omit_deprecated_tags=given["omit_deprecated_tags"],
    )
    if given["enable_config_gen_logging"]:
        where = place.socket or join_host_port(place.address, place.port)
        told.append(f"proxy {proxy_id} of {cluster}, agent at {where}{' over TLS' if place.tls else ''}")
    for line in told:
        click.echo(line, err=True)
    return bootstrap.text(facts, bootstrap.Wishes.of(proxy.get("Config")), environment)


def _registration(client: Client, proxy_id: str, node: str) -> Given:
    try:
        found = registered(client, proxy_id, node)
    except ApiError as error:
        where = f'catalog for node "{node}"' if node else "local agent"
        raise MeshError(f"failed fetch proxy config from {where}: {error}") from None
    if not found.get("Proxy") and not found.get("Kind"):
        raise MeshError("service is not a Connect proxy or gateway")
    return found


def _prometheus(given: Given) -> Prometheus:
    folder = "" if given["prometheus_ca_file"] else given["prometheus_ca_path"]
    return Prometheus(
        backend_port=int(given["prometheus_backend_port"] or 0),
        scrape_path=given["prometheus_scrape_path"],
        ca_file=given["prometheus_ca_file"],
        ca_path=folder,
        ca_pem=authorities("", folder, "-prometheus-ca"),
        cert_file=given["prometheus_cert_file"],
        key_file=given["prometheus_key_file"],
    )


def _ready(given: Given, kind: str) -> str:
    """Where it is seen whether an Envoy without listeners of its own lives."""
    if given["envoy_ready_bind_address"] and given["envoy_ready_bind_port"]:
        return join_host_port(given["envoy_ready_bind_address"], given["envoy_ready_bind_port"])
    if kind == "ingress-gateway" or (kind == "api-gateway" and given["register"]):
        host, port = place("-address", given["address"])
        return join_host_port(host or "127.0.0.1", port)
    return ""


# --- running it -----------------------------------------------------------------------------------------------------


def _run(given: Given, args: tuple[str, ...], made: str) -> None:
    from meshagent.agent.cli.envoy_process import exec_envoy, find_binary, version_of

    try:
        binary = find_binary(given["envoy_binary"])
    except MeshError as error:
        hint = "" if given["envoy_binary"] else "; -envoy-binary says where it is"
        raise fail(f"Couldn't find envoy binary: {error}{hint}") from None
    try:
        if not given["ignore_envoy_compatibility"] and (problem := versions.problem(version_of(binary))):
            raise fail(problem)
        sys.stdout.flush()
        exec_envoy(binary, args, made)
    except MeshError as error:
        raise fail(str(error)) from None
