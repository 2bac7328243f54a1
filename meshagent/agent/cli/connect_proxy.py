"""I/O edge: `meshagent connect proxy`, the built-in sidecar as a process of its own; `connect wait`, its start gate.

It is configured by a registration at the local agent (`-sidecar-for`, `-proxy-id`), by flags (`-service`), or runs the
sidecars of every registration there (`-all`; the agent starts it so with `connect { builtin_proxy = "managed" }`).

Source: surface row CL20; builtin-proxy.md of the golden mesh data (messages, statuses). What may change here: further
flags of ours; those of Consul keep their meaning.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from pathlib import Path
from typing import IO, Any

import msgspec

from meshagent.agent.cli.client import Answer, Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.gateway_flags import gateway_of, which
from meshagent.agent.cli.gateway_flags import register as register_gateway
from meshagent.agent.cli.output import fail, say
from meshagent.agent.cli.proxy_lookup import sidecar_of
from meshagent.durations import parse_seconds

__all__ = ["proxy"]

_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERR", "ERROR")


@api_command("proxy", short_help="Run a built-in sidecar or gateway")
@text("sidecar-for", "Id of the service at this agent whose sidecar it is [CONNECT_SIDECAR_FOR]")
@text("proxy-id", "Id of the registration of the proxy itself [CONNECT_PROXY_ID]")
@text("node-name", "Node of the registration, when it is in the catalog only: a server is asked; needs -proxy-id")
@text("gateway", "It is a gateway: mesh, terminating, ingress or api")
@text("service", "Name of the service it stands for, without a registration; with -gateway and -register the gateway's")
@text("upstream", "With -service: name:port or name:address:port of an upstream; repeatable", multiple=True)
@text("listen", "With -service: address:port at which others come in; needs -service-addr")
@text("service-addr", "With -service: address:port of the service itself")
@switch(
    "register",
    "With -service and -listen: register the proxy while it runs; with -gateway: register that while it runs",
)
@text(
    "address", "With -gateway and -register: ip:port at which it is reached; may be an address template", default=":443"
)
@text("wan-address", "With -gateway and -register: ip:port for other datacenters; may be an address template")
@text("bind-address", "With -gateway and -register: name=ip:port to listen at instead; repeatable", multiple=True)
@text("deregister-after-critical", "With -gateway and -register: how long its check may fail", default="6h")
@text("register-id", "Suffix of the id of that registration")
@switch("all", "Run the sidecars of every proxy that is registered at the agent")
@text("lock-file", "With -all: end when another process holds this file; holds its pid")
@text("log-level", "Least severe message shown", default="INFO")
@switch("log-json", "One JSON object a line")
@text("metrics-bind", "host:port at which Prometheus reads metrics, before what the configuration says")
@text("pprof-addr", "Accepted and not used: there is no Go profiler here (py-spy reads a running process)")
@text("drain-time", "How long open connections may go on after a signal", default="5s")
def proxy(
    client: Client,
    args: tuple[str, ...],
    sidecar_for: str,
    proxy_id: str,
    node_name: str,
    gateway: str,
    service: str,
    upstream: tuple[str, ...],
    listen: str,
    service_addr: str,
    register: bool,
    address: str,
    wan_address: str,
    bind_address: tuple[str, ...],
    deregister_after_critical: str,
    register_id: str,
    all: bool,
    lock_file: str,
    log_level: str,
    log_json: bool,
    metrics_bind: str,
    pprof_addr: str,
    drain_time: str,
) -> int:
    """Run a sidecar or gateway that is registered at the local agent: mutual TLS with intentions. With -node-name it
    needs no agent: -http-addr is a server's."""
    if args:
        raise fail("Should have no non-flag arguments.")
    expect(args, 0, 0)
    if log_level.upper() not in _LEVELS:
        raise fail(f"Invalid log level: {log_level}. Valid log levels are: [{' '.join(_LEVELS)}]")
    try:
        drain_s = parse_seconds(drain_time)
    except ValueError as error:
        raise fail(f"-drain-time: {error}") from None
    if register and not gateway and not (service and listen):
        raise fail("-register may only be specified with -service and -listen")
    kind, named = gateway_of(gateway, service)
    if kind and (upstream or listen or service_addr or sidecar_for):
        raise fail("-gateway cannot be used with -sidecar-for, -upstream, -listen or -service-addr")
    if node_name and register:
        raise fail("'-register' cannot be used with '-node-name'")
    if all:
        held = _locked(lock_file) if lock_file else None
        if lock_file and held is None:
            return 0  # another one runs them
        _logs(log_level, log_json)
        from meshagent.agent.cli.proxy_process import run_all

        run_all(client, drain_s, metrics_bind)
        return 0
    sidecar_for = sidecar_for or os.environ.get("CONNECT_SIDECAR_FOR", "")
    proxy_id = proxy_id or os.environ.get("CONNECT_PROXY_ID", "")
    if node_name and not proxy_id:
        raise fail("'-node-name' requires '-proxy-id'")
    given: dict[str, Any] | None = None
    if kind:
        proxy_id, named = which(client, proxy_id, kind, named, registers=register)
        if register:
            register_gateway(
                client, kind, named, proxy_id, lan=address, wan=wan_address, binds=bind_address,
                deregister_after=deregister_after_critical,
            )  # fmt: skip
            say(f"Registered service: {named}")
    elif not proxy_id and not sidecar_for:
        if not service:
            raise fail("-service or -proxy-id must be specified so that proxy can configure itself.")
        given = _from_flags(service, upstream, listen, service_addr)
    elif not proxy_id:
        proxy_id = sidecar_of(client, sidecar_for)
    _banner(sidecar_for, proxy_id, given)
    _logs(log_level, log_json)
    from meshagent.agent.cli.proxy_process import run_one, snapshot_query

    if given is None:
        name = proxy_id

        def ask(digest: str) -> Answer:
            where = {"node": node_name} if node_name else {}
            return client.request("GET", f"agent/connect/proxy/{proxy_id}", {**snapshot_query(digest), **where})
    else:
        name, body = service, msgspec.json.encode(given)

        def ask(digest: str) -> Answer:
            return client.request("PUT", "agent/connect/proxy", snapshot_query(digest), body)

    if register and given is not None:
        from meshagent.agent.cli.proxy_registration import definition, keep_registered

        wanted = definition(service, register_id, given["Address"], given["Port"])
        run_one(ask, name, drain_s, lambda: keep_registered(client, wanted), metrics_bind)
    elif register:
        from meshagent.agent.cli.proxy_registration import deregister_at_end

        run_one(ask, name, drain_s, lambda: deregister_at_end(client, proxy_id), metrics_bind)
    else:
        run_one(ask, name, drain_s, metrics_bind=metrics_bind)
    return 0


@api_command("wait", "SERVICE_ID", short_help="Return when the sidecar of a service is ready")
@text("timeout", "How long to wait", default="60s")
def wait(client: Client, args: tuple[str, ...], timeout: str) -> int:
    """Return once the sidecar of a service takes connections: put it in front of the service's own start."""
    expect(args, 1, 1)
    from meshagent.agent.cli.proxy_gate import wait_ready

    try:
        timeout_s = parse_seconds(timeout)
    except ValueError as error:
        raise fail(f"-timeout: {error}") from None
    reason = wait_ready(client, args[0], timeout_s)
    if reason:
        raise fail(f"the sidecar of {args[0]} is not ready: {reason}")
    say(f"the sidecar of {args[0]} is ready")
    return 0


# --- inside ---------------------------------------------------------------------------------------------------------


def _from_flags(service: str, upstreams: tuple[str, ...], listen: str, service_addr: str) -> dict[str, Any]:
    """What the agent makes a snapshot of."""
    if listen and not service_addr:
        raise fail("-service-addr must be specified with -listen so the proxy knows the backend service address.")
    given: dict[str, Any] = {"Service": service, "Address": "", "Port": 0, "Upstreams": []}
    if listen:
        given["Address"], given["Port"] = _address("-listen", listen)
    if service_addr:
        given["LocalAddress"], given["LocalPort"] = _address("-service-addr", service_addr)
    for one in upstreams:
        name, _, rest = one.partition(":")
        if not name or not rest:
            raise fail(f"-upstream: {one!r} is not name:port or name:address:port")
        address, port = _address("-upstream", rest if ":" in rest else f"127.0.0.1:{rest}")
        given["Upstreams"].append({"Name": name, "Address": address or "127.0.0.1", "Port": port})
    return given


def _address(flag: str, value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or not (host or value.startswith(":")):
        raise fail(f"{flag}: {value!r} is not address:port")
    return host.strip("[]"), int(port)


def _banner(sidecar_for: str, proxy_id: str, given: dict[str, Any] | None) -> None:
    rows = [("Configuration mode", "Flags" if given is not None else "Agent API")]
    if given is None:
        rows += [("Sidecar for ID", sidecar_for)] if sidecar_for else []
        rows.append(("Proxy ID", proxy_id))
    else:
        rows.append(("Service", given["Service"]))
        rows += [("Upstream", f"{one['Name']} => {one['Address']}:{one['Port']}") for one in given["Upstreams"]]
        open_ = given["Port"] and "LocalPort" in given
        to = f"{given['Address']}:{given['Port']} => {given.get('LocalAddress')}:{given.get('LocalPort')}"
        rows.append(("Public listener", to if open_ else "Disabled"))
    say("==> Consul Connect proxy starting...")
    for name, value in rows:
        say(f"{name:>22}: {value}")
    say()
    say("==> Log data will now stream in as it occurs:")
    sys.stdout.flush()


def _logs(level: str, json: bool) -> None:
    from meshagent.agent.logs import LogHub, LogSettings

    LogHub(LogSettings(level="ERROR" if level.upper() == "ERR" else level.upper(), json=json), sys.stdout).attach()


def _locked(path: str) -> IO[str] | None:
    """The file, held by this process until it ends; None when another one holds it."""
    place = Path(path)
    handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    file = os.fdopen(handle, "r+")
    logging.raiseExceptions = False  # the agent that reads what is written may have gone
    return file
