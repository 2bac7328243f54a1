"""Every command, one row each.

Source: surface section 8. `path` is what is typed, `module` the family's module here, `attribute` the click command in
it. Groups ("kv") come from the paths; their help stands in GROUPS. Two rows with one path fail at import.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GROUPS", "SUBCOMMANDS", "Subcommand"]


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One command; `row` is its row of the compatibility list, empty for our own."""

    path: str
    module: str
    attribute: str
    row: str
    help: str


SUBCOMMANDS: tuple[Subcommand, ...] = (
    Subcommand("acl auth-method create", "acl_methods", "create", "CL15", "Create an auth method"),
    Subcommand("acl auth-method delete", "acl_methods", "delete", "CL15", "Delete an auth method"),
    Subcommand("acl auth-method list", "acl_methods", "list_methods", "CL15", "List the auth methods"),
    Subcommand("acl auth-method read", "acl_methods", "read", "CL15", "Show an auth method"),
    Subcommand("acl auth-method update", "acl_methods", "update", "CL15", "Change an auth method"),
    Subcommand("acl binding-rule create", "acl_rules", "create", "CL15", "Create a binding rule"),
    Subcommand("acl binding-rule delete", "acl_rules", "delete", "CL15", "Delete a binding rule"),
    Subcommand("acl binding-rule list", "acl_rules", "list_rules", "CL15", "List the binding rules"),
    Subcommand("acl binding-rule read", "acl_rules", "read", "CL15", "Show a binding rule"),
    Subcommand("acl binding-rule update", "acl_rules", "update", "CL15", "Change a binding rule"),
    Subcommand("acl bootstrap", "acl", "bootstrap", "CL14", "Make the first token, once"),
    Subcommand("acl explain", "acl", "explain", "", "Say whether a token may make a request, and by which rule"),
    Subcommand("acl policy create", "acl_policies", "create", "CL14", "Create a policy"),
    Subcommand("acl policy delete", "acl_policies", "delete", "CL14", "Delete a policy"),
    Subcommand("acl policy list", "acl_policies", "list_policies", "CL14", "List the policies"),
    Subcommand("acl policy read", "acl_policies", "read", "CL14", "Show a policy"),
    Subcommand("acl policy update", "acl_policies", "update", "CL14", "Change a policy"),
    Subcommand("acl role create", "acl_roles", "create", "CL14", "Create a role"),
    Subcommand("acl role delete", "acl_roles", "delete", "CL14", "Delete a role"),
    Subcommand("acl role list", "acl_roles", "list_roles", "CL14", "List the roles"),
    Subcommand("acl role read", "acl_roles", "read", "CL14", "Show a role"),
    Subcommand("acl role update", "acl_roles", "update", "CL14", "Change a role"),
    Subcommand("acl set-agent-token", "acl", "set_agent_token", "CL14", "Give the agent a token of its own"),
    Subcommand("acl suggest", "acl", "suggest", "", "Propose the least rules for what a token did"),
    Subcommand("acl templated-policy list", "acl", "list_templates", "CL15", "List the templated policies"),
    Subcommand("acl templated-policy preview", "acl", "preview_template", "CL15", "Show the policy that one becomes"),
    Subcommand("acl templated-policy read", "acl", "read_template", "CL15", "Show a templated policy"),
    Subcommand("acl token clone", "acl_tokens", "clone", "CL14", "Copy a token"),
    Subcommand("acl token create", "acl_tokens", "create", "CL14", "Create a token"),
    Subcommand("acl token delete", "acl_tokens", "delete", "CL14", "Delete a token"),
    Subcommand("acl token list", "acl_tokens", "list_tokens", "CL14", "List the tokens"),
    Subcommand("acl token read", "acl_tokens", "read", "CL14", "Show a token"),
    Subcommand("acl token update", "acl_tokens", "update", "CL14", "Change a token"),
    Subcommand("agent", "agent", "agent", "CL1", "Run an agent"),
    Subcommand("catalog datacenters", "catalog", "datacenters", "CL5", "List the datacenters"),
    Subcommand("catalog nodes", "catalog", "nodes", "CL5", "List the nodes"),
    Subcommand("catalog services", "catalog", "services", "CL5", "List the services"),
    Subcommand("connect ca get-config", "connect_ca", "get_config", "CL21", "Show the configuration of the CA"),
    Subcommand("connect ca set-config", "connect_ca", "set_config", "CL21", "Change the configuration of the CA"),
    Subcommand("connect envoy", "connect_envoy", "envoy", "CL19", "Run an Envoy as a proxy of the mesh"),
    Subcommand("connect expose", "connect_expose", "expose", "CL21", "Let a service be reached through a gateway"),
    Subcommand("connect proxy", "connect_proxy", "proxy", "CL20", "Run a built-in sidecar or gateway"),
    Subcommand(
        "connect redirect-traffic",
        "redirect_traffic",
        "redirect_traffic",
        "CL21",
        "Send the traffic of a host or network namespace through a sidecar",
    ),
    Subcommand("connect wait", "connect_proxy", "wait", "", "Return when the sidecar of a service is ready (ours)"),
    Subcommand("completion", "completion", "completion", "", "Print shell completion for bash, zsh or fish"),
    Subcommand("config diff", "config_history", "diff", "", "Show what changed between two versions of a config entry"),
    Subcommand("config history", "config_history", "history", "", "List the versions of a config entry"),
    Subcommand("config rollback", "config_history", "rollback", "", "Write an earlier version of a config entry again"),
    Subcommand("config delete", "config_entries", "delete", "CL17", "Delete a config entry"),
    Subcommand("config list", "config_entries", "list_entries", "CL17", "List the config entries of a kind"),
    Subcommand("config read", "config_entries", "read", "CL17", "Show a config entry"),
    Subcommand("config write", "config_entries", "write", "CL17", "Write a config entry from a file"),
    Subcommand("debug", "debug", "debug", "CL24", "Record what an agent does, into an archive"),
    Subcommand("demo", "demo", "demo", "", "Run an agent and two demo services, and say what to try"),
    Subcommand("event", "event", "event", "CL9", "Fire a user event"),
    Subcommand("exec", "exec", "exec_", "CL10", "Run a command on the nodes of the cluster"),
    Subcommand("force-leave", "members", "force_leave", "CL3", "Make a failed member count as left"),
    Subcommand("health", "health", "health", "", "Show services with their checks and outputs at a glance"),
    Subcommand("info", "lifecycle", "info", "CL4", "Show figures of the agent"),
    Subcommand("intention check", "intention", "check", "CL18", "Say whether a connection would be allowed"),
    Subcommand("intention create", "intention", "create", "CL18", "Create an intention, or several from files"),
    Subcommand("intention delete", "intention", "delete", "CL18", "Delete an intention"),
    Subcommand("intention explain", "intention", "explain", "", "Say which intention decides, and why"),
    Subcommand("intention get", "intention", "get", "CL18", "Show an intention"),
    Subcommand("intention list", "intention", "list_intentions", "CL18", "List the intentions"),
    Subcommand("intention match", "intention", "match", "CL18", "Show the intentions that concern a service"),
    Subcommand("intention suggest", "intention_suggest", "suggest", "", "Suggest the least that must be allowed"),
    Subcommand("join", "members", "join", "CL3", "Have the agent join a cluster"),
    Subcommand("keygen", "lifecycle", "keygen", "CL11", "Make a key for gossip encryption"),
    Subcommand("keyring", "keyring", "keyring", "CL11", "Manage the keys of gossip encryption"),
    Subcommand("kv delete", "kv", "delete", "CL6", "Delete a key, or all keys under a prefix"),
    Subcommand("kv export", "kv_transfer", "export", "CL7", "Print keys as JSON"),
    Subcommand("kv get", "kv", "get", "CL6", "Show a key, or all keys under a prefix"),
    Subcommand("kv history", "kv_history", "history", "", "List the versions of a key"),
    Subcommand("kv rollback", "kv_history", "rollback", "", "Write an earlier version of a key again"),
    Subcommand("kv import", "kv_transfer", "import_keys", "CL7", "Write keys from JSON"),
    Subcommand("kv put", "kv", "put", "CL6", "Write a key"),
    Subcommand("leave", "members", "leave", "CL3", "Have the agent leave and stop"),
    Subcommand("lock", "lock", "lock", "CL10", "Run a program while a lock is held"),
    Subcommand("login", "login", "login", "CL16", "Exchange a credential for a token"),
    Subcommand("logout", "login", "logout", "CL16", "Destroy a token that a login made"),
    Subcommand("maint", "maint", "maint", "CL9", "Show or change maintenance mode"),
    Subcommand("members", "members", "members", "CL2", "List the members of the cluster"),
    Subcommand(
        "migrate from-consul", "migrate", "from_consul", "", "Copy what a running Consul holds into this cluster"
    ),
    Subcommand("monitor", "lifecycle", "monitor", "CL4", "Follow the agent's log"),
    Subcommand(
        "operator autopilot get-config", "operator_autopilot", "get_config", "CL12", "Show autopilot's configuration"
    ),
    Subcommand("operator autopilot health", "operator_autopilot", "health", "", "Show the servers' health at a glance"),
    Subcommand(
        "operator autopilot set-config", "operator_autopilot", "set_config", "CL12", "Change autopilot's configuration"
    ),
    Subcommand(
        "operator autopilot state", "operator_autopilot", "state", "CL12", "Show what autopilot knows of the servers"
    ),
    Subcommand("operator raft list-peers", "operator", "list_peers", "CL12", "List the servers of the Raft cluster"),
    Subcommand("operator raft recover", "raft_offline", "recover", "", "Begin again after a quorum was lost"),
    Subcommand(
        "operator raft repair", "raft_offline", "repair", "", "Show damage in a stopped server's log, cut it off"
    ),
    Subcommand("operator raft remove-peer", "operator", "remove_peer", "CL12", "Remove a server from the Raft cluster"),
    Subcommand(
        "operator raft transfer-leader", "operator", "transfer_leader", "CL12", "Hand leadership to another server"
    ),
    Subcommand(
        "operator usage instances", "operator_usage", "instances", "CL12", "Count nodes, services and instances"
    ),
    Subcommand("peering delete", "peering", "delete", "CL23", "Delete a peering, here and on the other side"),
    Subcommand("peering establish", "peering", "establish", "CL23", "Peer with the cluster that made a token"),
    Subcommand("peering exported-services", "peering", "exported_services", "CL23", "List what is exported to a peer"),
    Subcommand(
        "peering generate-token",
        "peering",
        "generate_token",
        "CL23",
        "Make a token by which another cluster peers with this one",
    ),
    Subcommand("peering list", "peering", "list_peerings", "CL23", "List the peerings"),
    Subcommand("peering read", "peering", "read", "CL23", "Show a peering"),
    Subcommand("proxy config", "proxy_config", "config", "", "Show what a proxy works from"),
    Subcommand("proxy envoys", "proxy_envoys", "envoys", "", "List the Envoys that the agent serves over xDS"),
    Subcommand(
        "reference", "reference", "reference", "", "Print a reference as Markdown: config, http, cli or metrics"
    ),
    Subcommand("reload", "lifecycle", "reload", "CL4", "Have the agent read its configuration again"),
    Subcommand("rtt", "rtt", "rtt", "CL24", "Estimate the round-trip time between two nodes"),
    Subcommand("services deregister", "services", "deregister", "CL8", "Remove services from the agent"),
    Subcommand("services export", "services_export", "export", "CL8", "Export a service to peers"),
    Subcommand(
        "services exported-services", "services_export", "exported_services", "CL8", "List what is exported to whom"
    ),
    Subcommand("services register", "services", "register", "CL8", "Add services to the agent"),
    Subcommand("tap", "tap", "tap", "", "Show the requests of a service's sidecars as they happen"),
    Subcommand("top", "top", "top", "", "Show rates, success and latency of each edge of the mesh"),
    Subcommand("troubleshoot ports", "troubleshoot", "ports", "CL24", "Try which ports of a host are open"),
    Subcommand("troubleshoot proxy", "troubleshoot", "proxy", "CL24", "Find out why an upstream does not answer"),
    Subcommand("troubleshoot upstreams", "troubleshoot", "upstreams", "CL24", "List the upstreams of a proxy"),
    Subcommand("tls ca create", "tls", "ca_create", "CL22", "Make an authority for agents"),
    Subcommand("tls cert create", "tls", "cert_create", "CL22", "Make a certificate for an agent"),
    Subcommand("tls join-token", "tls", "join_token", "", "Make a token with which a client joins"),
    Subcommand("snapshot agent", "snapshot_agent", "agent", "CL25", "Save snapshots at an interval"),
    Subcommand("snapshot decode", "snapshot", "decode", "CL13", "Print the rows of a snapshot as JSON"),
    Subcommand("snapshot inspect", "snapshot", "inspect", "CL13", "Show what is in a snapshot"),
    Subcommand("snapshot restore", "snapshot", "restore", "CL13", "Replace the state of the servers by a snapshot"),
    Subcommand("snapshot save", "snapshot", "save", "CL13", "Save the state of the servers in a file"),
    Subcommand("validate", "validate", "validate", "CL4", "Check configuration files"),
    Subcommand("version", "version", "version", "CL4", "Show the version"),
    Subcommand("watch", "watch", "watch", "CL9", "Run a program at every change of something"),
)

GROUPS: dict[str, str] = {
    "acl": "Who may do what",
    "acl auth-method": "How strangers log in",
    "acl binding-rule": "What a login is given",
    "acl policy": "Rules under a name",
    "acl role": "Policies and identities under a name",
    "acl templated-policy": "Policies with a name to be filled in",
    "acl token": "Who brings what",
    "catalog": "Look into the catalog",
    "connect": "The mesh",
    "connect ca": "The certificate authority of the mesh",
    "config": "Read and write config entries",
    "intention": "Who may talk to whom",
    "kv": "Read and write keys",
    "operator": "Tools for operators",
    "operator autopilot": "How the leader cares for the servers",
    "operator raft": "Tools for the Raft cluster",
    "operator usage": "How much there is",
    "peering": "Share services with other clusters",
    "snapshot": "Save, restore and look into the state of the servers",
    "migrate": "Move in from another cluster",
    "proxy": "Proxies of the mesh",
    "services": "Register, deregister and export services",
    "troubleshoot": "Find out why calls through the mesh fail",
    "tls": "Certificates for agents",
    "tls ca": "An authority for agents",
    "tls cert": "Certificates for agents",
}

_paths = [row.path for row in SUBCOMMANDS]
if len(set(_paths)) != len(_paths):
    raise ImportError("a command is listed twice")
if {" ".join(path.split(" ")[:at]) for path in _paths for at in range(1, path.count(" ") + 1)} != set(GROUPS):
    raise ImportError("a group of commands has no help, or help has no group")
