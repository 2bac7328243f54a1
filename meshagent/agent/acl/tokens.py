"""I/O edge: the tokens of this agent itself, from its configuration or set through the API and kept on disk.

Source: surface rows A25, G6, G17. `acl-tokens.json` in the data directory holds those that were set through the API
when `acl.enable_token_persistence` is on; they count before the configuration. The file is private (0600). What may
change here: a token is a row in `NAMES`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.catalog.acl.model import secret_digest
from meshagent.errors import CorruptData

if TYPE_CHECKING:
    from meshagent.agent.config import Config

__all__ = ["NAMES", "AgentTokens"]

FILE = "acl-tokens.json"
#: What the agent's own process for sidecars shows; on disk because that process outlives the agent.
OWN_FILE = "acl-own-secret"
#: Name in the API -> option of `acl.tokens`; the old names last.
NAMES: Mapping[str, str] = {
    "default": "default",
    "agent": "agent",
    "agent_recovery": "agent_recovery",
    "config_file_service_registration": "config_file_service_registration",
    "replication": "replication",
    "dns": "dns",
    "acl_token": "default",
    "acl_agent_token": "agent",
    "acl_agent_master_token": "agent_recovery",
    "agent_master": "agent_recovery",
    "acl_replication_token": "replication",
}


class AgentTokens:
    """The tokens in force. `data_dir` None: nothing is kept. Every value is a secret."""

    def __init__(self, config: Config, data_dir: Path | None = None) -> None:
        """Raises CorruptData: the file of kept tokens cannot be read."""
        self._path = data_dir / FILE if data_dir is not None else None
        self._set: dict[str, str] = {}
        self._configured: dict[str, str] = {}
        #: Of processes that the agent itself starts: `agent:write` on this agent, nothing elsewhere.
        self.own = _own_secret(data_dir) if config.acl.enabled else ""
        #: Called when any of them has changed.
        self.on_change: list[Callable[[], None]] = []
        self.configure(config)
        if self._keeps and self._path is not None and self._path.exists():
            self._load(self._path)

    def configure(self, config: Config) -> None:
        """Take another configuration; what was set through the API stays."""
        before = self._configured
        tokens = config.acl.tokens
        self._configured = {name: str(getattr(tokens, name) or "") for name in set(NAMES.values())}
        self._keeps = config.acl.enabled and config.acl.enable_token_persistence
        if self._configured != before:
            self._tell()

    def get(self, name: str) -> str:
        """One of them by its option, "" when there is none."""
        return self._set.get(name) or self._configured.get(name, "")

    @property
    def default(self) -> str:
        """Of requests that bring none."""
        return self.get("default")

    @property
    def agent(self) -> str:
        """Of the agent's own work; falls back to the default."""
        return self.get("agent") or self.default

    @property
    def dns(self) -> str:
        """Of DNS questions; falls back to the default."""
        return self.get("dns") or self.default

    @property
    def of_files(self) -> str:
        """Of services and checks in configuration files."""
        return self.get("config_file_service_registration")

    @property
    def recovery(self) -> str:
        """Of an operator while no server can be asked."""
        return self.get("agent_recovery")

    def local(self, digest: bytes) -> str:
        """The name of a token that only this agent knows, and that grants what recovery does; "" for others."""
        for name, held in (("agent-recovery", self.recovery), ("agent-own", self.own)):
            if held and secret_digest(held) == digest:
                return name
        return ""

    def is_own(self, secret: str) -> bool:
        """Whether it is that of the agent's own processes."""
        return bool(self.own) and secrets.compare_digest(secret.encode(), self.own.encode())

    def set(self, name: str, secret: str) -> None:
        """Set one by its option, "" goes back to the configuration. Raises OSError: it cannot be kept."""
        if secret:
            self._set[name] = secret
        else:
            self._set.pop(name, None)
        if self._keeps and self._path is not None:
            self._save(self._path)
        self._tell()

    def _tell(self) -> None:
        for listener in self.on_change:
            listener()

    def _load(self, path: Path) -> None:
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(held, dict):
                raise ValueError("not an object")
        except (OSError, ValueError) as error:
            raise CorruptData(f"{path} cannot be read ({error}): remove it and set the tokens again") from error
        self._set = {name: str(held[name]) for name in set(NAMES.values()) if held.get(name)}

    def _save(self, path: Path) -> None:
        fresh = path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._set, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


def _own_secret(data_dir: Path | None) -> str:
    """Made once. An agent that keeps nothing has another one in each run. Raises OSError."""
    fresh = secrets.token_hex(32)
    if data_dir is None:
        return fresh
    path = data_dir / OWN_FILE
    with contextlib.suppress(FileNotFoundError):
        held = path.read_text(encoding="ascii").strip()
        if len(held) == len(fresh):
            return held
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(fresh)
    return fresh
