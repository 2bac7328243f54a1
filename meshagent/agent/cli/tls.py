"""I/O edge: `meshagent tls ca create`, `tls cert create` and `tls join-token`: certificates for agents, and a text that
brings a client into the cluster.

Source: surface row CL22; developer.hashicorp.com/consul/commands/tls. File names are Consul's; keys are readable by
their owner alone, and nothing is overwritten. What may change here: nothing that a script looks for.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from meshagent.agent.cli.flags import command, expect, switch, text
from meshagent.agent.cli.output import fail, say
from meshagent.clock import SystemClock
from meshagent.errors import MeshError

__all__ = ["ca_create", "cert_create", "join_token"]


@command("create", short_help="Make an authority for agents")
@text("domain", "Domain the agents answer for", default="consul")
@text("days", "How long it is good", default=1825, kind=int)
@text("common-name", "Its name")
@switch("name-constraint", "Let it sign only for localhost, -domain and -additional-name-constraint")
@text("additional-name-constraint", "A further domain it may sign for; may be given again", multiple=True)
@text("cluster-id", "Put the SPIFFE id of this cluster into it")
def ca_create(
    args: tuple[str, ...],
    domain: str,
    days: int,
    common_name: str,
    name_constraint: bool,
    additional_name_constraint: tuple[str, ...],
    cluster_id: str,
) -> None:
    """Make a certificate authority for agents: <domain>-agent-ca.pem and its key."""
    expect(args, 0, 0)
    _check_days(days)
    if additional_name_constraint and not name_constraint:
        raise fail("-additional-name-constraint needs -name-constraint")
    certificate, key = Path(f"{domain}-agent-ca.pem"), Path(f"{domain}-agent-ca-key.pem")
    for path in (certificate, key):
        if path.exists():
            raise fail(f"{path} already exists.")
    constraints = (*additional_name_constraint, "localhost", domain) if name_constraint else ()
    from meshagent.connect.agent_certs import agent_ca

    pem, key_pem = agent_ca(SystemClock().now(), days, common_name, constraints, cluster_id)
    _write(certificate, pem, 0o644)
    _write(key, key_pem, 0o600)


@command("create", short_help="Make a certificate for an agent")
@switch("server", "For a server")
@switch("client", "For a client agent")
@switch("cli", "For the command line")
@text("dc", "Datacenter", default="dc1")
@text("node", "With -server: the node's name, for a certificate of its own name too")
@text("domain", "Domain the agents answer for", default="consul")
@text("days", "How long it is good", default=365, kind=int)
@text("additional-dnsname", "A further DNS name; may be given again", multiple=True)
@text("additional-ipaddress", "A further address; may be given again", multiple=True)
@text("ca", "The authority's certificate (default <domain>-agent-ca.pem)")
@text("key", "The authority's key (default <domain>-agent-ca-key.pem)")
def cert_create(
    args: tuple[str, ...],
    server: bool,
    client: bool,
    cli: bool,
    dc: str,
    node: str,
    domain: str,
    days: int,
    additional_dnsname: tuple[str, ...],
    additional_ipaddress: tuple[str, ...],
    ca: str,
    key: str,
) -> None:
    """Make a certificate and its key, signed by the authority of `tls ca create`."""
    expect(args, 0, 0)
    _check_days(days)
    kinds = [kind for kind, wanted in (("server", server), ("client", client), ("cli", cli)) if wanted]
    if len(kinds) != 1:
        raise fail("Please provide exactly one of -server, -client and -cli")
    kind = kinds[0]
    if node and kind != "server":
        raise fail("-node requires -server")
    _check_addresses(additional_ipaddress)
    ca, key = ca or f"{domain}-agent-ca.pem", key or f"{domain}-agent-ca-key.pem"
    names = [f"{kind}.{dc}.{domain}", *([f"{node}.server.{dc}.{domain}"] if node else []), "localhost"]
    addresses = () if kind == "cli" else ("127.0.0.1",)
    names = list(dict.fromkeys((*names, *additional_dnsname, *addresses, *additional_ipaddress)))
    from meshagent.connect.agent_certs import agent_leaf

    try:
        pem, key_pem = agent_leaf(_read(ca), _read(key), kind, names, SystemClock().now(), days)
    except MeshError as error:
        raise fail(str(error)) from error
    certificate_path, key_path = _free(f"{dc}-{kind}-{domain}")
    say(f"==> Using {ca} and {key}")
    if kind == "server":
        say("==> WARNING: who holds a server's certificate can act as a server. Guard it like the authority's key.")
    _write(certificate_path, pem, 0o644)
    _write(key_path, key_pem, 0o600)


@command("join-token", short_help="Make a token with which a client joins")
@text("server", "RPC address of a server, host[:port]; may be given again", multiple=True)
@text("dc", "Datacenter", default="dc1")
@text("node", "Only the client of this name may use it")
@text("ttl", "How long it is good", default="24h")
@text("domain", "Domain the agents answer for", default="consul")
@text("ca", "The authority's certificate (default <domain>-agent-ca.pem)")
@text("key", "The authority's key (default <domain>-agent-ca-key.pem)")
def join_token(
    args: tuple[str, ...], server: tuple[str, ...], dc: str, node: str, ttl: str, domain: str, ca: str, key: str
) -> None:
    """Make a text that is all a client needs to join: where the servers are, how they are known, and the authority's
    word that it may. Give it to the client as auto_config.intro_token (or in intro_token_file, or CONSUL_INTRO_TOKEN);
    the servers need auto_config.authorization.enabled = true."""
    from meshagent.durations import parse_duration

    expect(args, 0, 0)
    if not server:
        raise fail("-server is needed: where a client finds the servers")
    try:
        ttl_s = parse_duration(ttl) / 1e9
    except ValueError as error:
        raise fail(f"-ttl: {error}") from error
    if not 1 <= ttl_s <= 10 * 365 * 86400:
        raise fail("-ttl: between 1s and ten years")
    ca, key = ca or f"{domain}-agent-ca.pem", key or f"{domain}-agent-ca-key.pem"
    from meshagent.agent.auto.introductions import join_token as make
    from meshagent.connect import certs

    try:
        authority, authority_key = _read(ca), _read(key)
        if not certs.key_matches(authority_key, authority):
            raise fail(f"{ca} and {key} do not belong together")
        kind, bits = certs.key_facts(authority_key)
    except MeshError as error:
        raise fail(str(error)) from error
    algorithm = "RS256" if kind == "rsa" else {256: "ES256", 384: "ES384", 521: "ES512"}.get(bits, "")
    if not algorithm:
        raise fail(f"{key}: a key of {bits} bits cannot sign a token")
    say(make(server, authority.decode("ascii"), dc, node, SystemClock().now(), ttl_s, authority_key, algorithm))


def _check_days(days: int) -> None:
    if not 1 <= days <= 36500:
        raise fail(f"-days: {days} is not between 1 and 36500")


def _check_addresses(addresses: tuple[str, ...]) -> None:
    import ipaddress

    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise fail(f"-additional-ipaddress: {address} is no IP address") from None


def _free(prefix: str) -> tuple[Path, Path]:
    """The first pair of names that is not taken."""
    for number in itertools.count():
        certificate, key = Path(f"{prefix}-{number}.pem"), Path(f"{prefix}-{number}-key.pem")
        if not certificate.exists() and not key.exists():
            return certificate, key
    raise AssertionError


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise fail(f"cannot read {path}: {error.strerror}; make an authority with `tls ca create`") from error


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    except OSError as error:
        raise fail(f"cannot write {path}: {error.strerror}") from error
    say(f"==> Saved {path}")
