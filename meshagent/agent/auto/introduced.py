"""I/O edge: the configuration that servers give who is introduced (`auto_config`), before the agent starts.

What is on disk from a former run is used; else the servers are asked until one answers. Source: surface row G16. What
may change here: where an introduction comes from.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshagent.agent import settings
from meshagent.agent.auto import kept as disk
from meshagent.agent.auto.asking import FirstContact, new_request
from meshagent.agent.auto.introductions import AUTHORITY, DATACENTER, SERVERS, claims_of_token
from meshagent.agent.auto.keeper import RETRY_FIRST_S, RETRY_LONGEST_S
from meshagent.agent.auto.kept import Kept, kept_of
from meshagent.agent.auto.messages import ConfigRequest
from meshagent.catalog.rpc.hello import CLIENT, Identity
from meshagent.clock import Clock
from meshagent.errors import ConfigError, Denied, MeshError
from meshagent.hostport import split_host_port

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.agent.config.security import AutoConfig, AutoEncrypt
    from meshagent.metrics import Metrics

__all__ = ["Introduction", "given_token", "introduced"]

log = logging.getLogger("agent.auto_config")

#: The variable that holds an introduction, as Consul's.
ENVIRONMENT = "CONSUL_INTRO_TOKEN"


@dataclass(frozen=True, slots=True, repr=False)
class Introduction:
    """A token, whom to show it, and by which authority they are known (PEM; () the configured ones)."""

    token: str
    servers: tuple[str, ...]
    trusted: tuple[str, ...] = ()
    datacenter: str = ""

    @staticmethod
    def of(config: Config, environ: Mapping[str, str]) -> Introduction:
        """What the configuration says; a token of `tls join-token` says the rest itself.

        Raises:
            ConfigError: there is no token, or nobody to show it to.
        """
        block = config.auto_config
        token = given_token(block, "auto_config", environ)
        if not token:
            raise ConfigError(
                "One of auto_config.intro_token, auto_config.intro_token_file or the CONSUL_INTRO_TOKEN environment "
                "variable must be set to enable auto_config"
            )
        told = claims_of_token(token)
        servers = tuple(block.server_addresses) or tuple(told.get(SERVERS, ()))
        if not servers:
            raise ConfigError("auto_config.enabled is set without providing a list of addresses")
        tls = config.tls.internal_rpc
        if not told and not (tls.ca_file or tls.ca_path):
            raise ConfigError("auto_config.enabled cannot be set without configuring TLS for server communications")
        ports = [split_host_port(server, config.ports.server) for server in servers]
        addresses = tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in ports)
        return Introduction(token, addresses, (told[AUTHORITY],) if told else (), str(told.get(DATACENTER, "")))


def given_token(block: AutoConfig | AutoEncrypt, name: str, environ: Mapping[str, str]) -> str:
    """The introduction of a block: its own, the environment's or that of its file; "" when there is none.

    Raises:
        ConfigError: the file cannot be read.
    """
    token = block.intro_token or environ.get(ENVIRONMENT, "")
    if not token and block.intro_token_file:
        try:
            token = Path(block.intro_token_file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}.intro_token_file: cannot be read: {error}") from error
    return token


async def introduced(
    config: Config,
    node_id: str,
    data_dir: Path | None,
    *,
    environ: Mapping[str, str],
    clock: Clock,
    rng: random.Random,
    metrics: Metrics,
) -> Kept:
    """What the servers gave, from disk or from one of them; asks until one answers.

    Raises:
        ConfigError: the configuration does not say how to ask.
    """
    found = disk.load(data_dir, config.node_name)
    if found is not None and found.options is not None and clock.now() < found.end:
        return found
    pause_s = RETRY_FIRST_S
    while True:
        try:
            kept = await ask(config, node_id, environ=environ, clock=clock, rng=rng, metrics=metrics)
        except ConfigError:
            raise
        except MeshError as error:
            if found is not None and found.options is not None:
                return found  # its certificate has ended: the running agent asks again, and serves what it holds
            word = "refused" if isinstance(error, Denied) else "failed"
            log.error("auto_config %s, will retry in %.1f s: %s", word, pause_s, error)
            await clock.sleep(pause_s * rng.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, RETRY_LONGEST_S)
            continue
        disk.save(data_dir, kept)
        return kept


async def ask(
    config: Config,
    node_id: str,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Clock,
    rng: random.Random,
    metrics: Metrics,
    key_and_request: tuple[str, bytes] | None = None,
) -> Kept:
    """Show the introduction once to each server until one answers. Raises MeshError."""
    introduction = Introduction.of(config, os.environ if environ is None else environ)
    datacenter = introduction.datacenter or config.datacenter
    contact = FirstContact(
        Identity(node_id, config.node_name, datacenter, role=CLIENT),
        settings.tls_settings(config),
        config.domain,
        clock,
        rng,
        metrics,
        settings.rpc_settings(config),
        introduction.trusted,
    )
    block = config.auto_config
    names = (*block.dns_sans, *block.ip_sans)
    key, request = key_and_request or new_request(config.node_name, datacenter, names)
    answer = await contact.configure(introduction.servers, ConfigRequest(config.node_name, request, introduction.token))
    return kept_of(config.node_name, datacenter, key, answer.issued, _options(answer.options))


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Only what a configuration of servers may say: nothing that would run a program or open a port."""
    return {name: options[name] for name in _TAKEN if options.get(name) is not None}


_TAKEN = (
    "datacenter",
    "primary_datacenter",
    "node_name",
    "retry_join",
    "encrypt",
    "encrypt_verify_incoming",
    "encrypt_verify_outgoing",
    "tls",
    "acl",
)
