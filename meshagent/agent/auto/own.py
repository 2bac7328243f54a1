"""The certificate keeper of a client agent, put together: whom it asks first, over what it renews.

With `auto_config` a first contact shows the introduction to its servers; with `auto_encrypt` it asks the servers that
gossip knows, and shows one if it has one. Source: surface row G16. What may change here: nothing that decides when.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.agent import settings
from meshagent.agent.auto import kept as disk
from meshagent.agent.auto.asking import FirstContact
from meshagent.agent.auto.keeper import CertificateKeeper
from meshagent.agent.auto.kept import Kept, kept_of
from meshagent.agent.auto.messages import SignRequest
from meshagent.agent.servers import Server
from meshagent.catalog.rpc.hello import Identity
from meshagent.clock import Clock, Tasks
from meshagent.errors import ConfigError

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.agent.rpc.upstream import Upstream
    from meshagent.metrics import Metrics

__all__ = ["certificate_keeper"]


def certificate_keeper(
    config: Config,
    identity: Identity,
    upstream: Upstream,
    kept: Kept | None,
    data_dir: Path | None,
    servers: Callable[[], Sequence[Server]],
    *,
    clock: Clock,
    rng: random.Random,
    metrics: Metrics,
    tasks: Tasks,
) -> CertificateKeeper:
    """The keeper for this configuration; `servers()` are those that gossip knows."""
    node, datacenter = config.node_name, config.datacenter
    block = config.auto_config
    introduced = block.enabled

    async def first(key: str, request: bytes) -> Kept:
        if introduced:
            from meshagent.agent.auto.introduced import ask

            return await ask(
                config, identity.node_id, clock=clock, rng=rng, metrics=metrics, key_and_request=(key, request)
            )
        from meshagent.agent.auto.introduced import given_token
        from meshagent.agent.auto.introductions import AUTHORITY, claims_of_token

        introduction = given_token(config.auto_encrypt, "auto_encrypt", os.environ)
        told = claims_of_token(introduction) if introduction else {}
        tls = config.tls.internal_rpc
        if introduction and not (told or tls.ca_file or tls.ca_path):
            raise ConfigError("auto_encrypt.intro_token is shown to known servers only: set tls.internal_rpc.ca_file")
        contact = FirstContact(
            identity, settings.tls_settings(config), config.domain, clock, rng, metrics, settings.rpc_settings(config),
            (told[AUTHORITY],) if told else (),
        )  # fmt: skip
        token = config.acl.tokens.agent or config.acl.tokens.default or ""
        places = [server.address for server in servers()]
        return kept_of(
            node, datacenter, key, await contact.sign(places, SignRequest(node, request, token, introduction))
        )

    keeper = CertificateKeeper(
        kept if introduced else disk.load(data_dir, node),
        first=first,
        call=upstream.call,
        node=node,
        datacenter=datacenter,
        names=(*block.dns_sans, *block.ip_sans)
        if introduced
        else (*config.auto_encrypt.dns_san, *config.auto_encrypt.ip_san),
        data_dir=data_dir,
        clock=clock,
        rng=rng,
        tasks=tasks,
    )
    metrics.collect(keeper.gauges)
    return keeper
