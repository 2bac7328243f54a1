"""When this server may answer a name from its own catalog: at once, or after the leader was asked.

Source: surface rows D21 (no leader and nothing stale to tell: SERVFAIL), D32 (`dns_config.allow_stale`, `max_stale`).
What may change here: nothing that lets an answer out which is older than the settings allow.
"""

from __future__ import annotations

from meshagent.catalog.log import ServingLog
from meshagent.dns.settings import DnsSettings

__all__ = ["Gate"]


class Gate:
    """Asks `log`, by `settings`."""

    def __init__(self, log: ServingLog, settings: DnsSettings) -> None:
        self.settings = settings
        self._log = log

    @property
    def keeps(self) -> bool:
        """Whether an answer may be given again from kept bytes: not when each must be the leader's."""
        return self.settings.allow_stale

    def is_open(self) -> bool:
        """Whether an answer may leave now."""
        log, settings = self._log, self.settings
        if log.is_leader:
            return True
        return settings.allow_stale and log.has_heard and log.last_contact_ms <= settings.max_stale_s * 1000.0

    async def wait(self) -> None:
        """Return when this server has what the leader had at the call. Raises NoLeader."""
        await self._log.read_barrier()
