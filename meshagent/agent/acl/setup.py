"""What a new leader does for access control, and its standing duty: built-in rows, the first token, tokens that end.

Source: surface rows L24, L29, AC1, AC6 (expiration). What may change here: a duty is a row in `server_role.py`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.catalog import commands
from meshagent.catalog.acl.builtin import POLICIES, anonymous_token, management_token
from meshagent.catalog.acl.model import ANONYMOUS_ACCESSOR
from meshagent.errors import MeshError
from meshagent.ids import is_uuid, new_uuid

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["RESET_FILE", "expired", "init_acls", "read_reset_index", "reap_tokens"]

log = logging.getLogger("agent.acl")

RESET_FILE = "acl-bootstrap-reset"
#: How often a leader looks for tokens whose time is over; they count no longer in any case.
REAP_S = 30.0
#: Tokens deleted by one command.
_BATCH = 512


async def init_acls(agent: Agent) -> None:
    """Write what every datacenter has: built-in policies, the configured first token, the anonymous token."""
    tables = agent.store.acl
    for policy in POLICIES:
        held = tables.policies.get(policy.id)
        if held is None or held.rules != policy.rules:
            await agent.write_as_leader(commands.AclPolicySet(policy))
    created = agent.clock.now().astimezone(UTC).isoformat().replace("+00:00", "Z")
    secret = agent.config.acl.tokens.initial_management or ""
    if agent.extras.get("primary") and agent.config.acl.enable_token_replication:
        secret = ""  # the first token is the primary's, and is copied from there
    if secret and not tables.bootstrap_index and tables.by_secret(secret) is None:
        if not is_uuid(secret):
            log.warning("acl.tokens.initial_management is not a UUID: it works, but secrets of Consul are")
        row = management_token(new_uuid(), secret, "Initial Management Token", created)
        await agent.write_as_leader(commands.AclBootstrap(row))
        log.info("the first token was made from acl.tokens.initial_management: accessor=%s", row.accessor_id)
    if ANONYMOUS_ACCESSOR not in tables.tokens:
        await agent.write_as_leader(commands.AclTokenSet(anonymous_token(created)))


def expired(expiring: dict[str, str], now: datetime) -> tuple[str, ...]:
    """The accessors whose time is over, at most `_BATCH`, in order."""
    found = sorted(accessor for accessor, at in expiring.items() if datetime.fromisoformat(at) <= now)
    return tuple(found[:_BATCH])


async def reap_tokens(agent: Agent) -> None:
    """Delete tokens whose time is over, for ever."""
    while True:
        gone = expired(agent.store.acl.expiring, agent.clock.now())
        if gone:
            try:
                await agent.write_as_leader(commands.AclTokensDelete(gone))
            except MeshError as error:
                log.warning("expired tokens could not be deleted yet: %s", error)
            else:
                log.info("expired tokens were deleted: count=%d", len(gone))
        if len(gone) < _BATCH:
            await agent.clock.sleep(REAP_S)


def read_reset_index(data_dir: str) -> int:
    """The index that an operator wrote into the data directory of the leader to allow another first token; 0: none."""
    if not data_dir:
        return 0
    path = Path(data_dir) / RESET_FILE
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    if not (text.isdigit() and len(text) <= 20):
        log.error("%s does not hold an index: the reset index of the refusal is expected", path)
        return 0
    return int(text)
