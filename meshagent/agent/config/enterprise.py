"""Keys of Consul Enterprise (surface row G28): refused by name, because ignoring them would change what a cluster does.

A key leaves this list only when it is built.
"""

from __future__ import annotations

__all__ = ["ALREADY_OFF", "ENTERPRISE"]

#: Full key -> what it would do.
ENTERPRISE = {
    "license_path": "licences",
    "partition": "admin partitions",
    "segment": "network segments",
    "segments": "network segments",
    "segment_limit": "network segments",
    "read_replica": "read replicas",
    "non_voting_server": "read replicas",
    "audit": "audit logs",
    "reporting": "licence reporting",
    "dns_config.prefer_namespace": "namespaces",
    "acl.tokens.managed_service_provider": "managed service providers",
    "acl.msp_disable_bootstrap": "managed service providers",
    "autopilot.redundancy_zone_tag": "redundancy zones",
    "autopilot.upgrade_version_tag": "upgrade migration",
}

#: Keys that switch off what is not here: whatever they say is so. Consul's Helm chart writes them.
ALREADY_OFF = frozenset({"autopilot.disable_upgrade_migration"})
