"""Options of TLS, automatic TLS and ACLs (surface rows G15 to G17).

Source: developer.hashicorp.com/consul/docs/agent/config/config-files. One row an option. In a `tls` block other than
`defaults`, what is not given is taken from `defaults` (resolve.py). Tokens and keys are `secret`.
"""

from __future__ import annotations

from collections.abc import Mapping

from meshagent.agent.config.option import Group, duration, group, switch, table, text, whole, words

__all__ = ["ACL", "TLS", "AutoConfig", "AutoEncrypt", "TLSProtocol"]

_VERSIONS = ("TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3", "tls10", "tls11", "tls12", "tls13")
_FROM = "tls.defaults"


class TLSProtocol(Group):
    """TLS of one kind of connection."""

    ca_file: str = text(None, "Certificate authorities to trust, PEM.", default_text=_FROM, reload=True, by_hand=True)
    ca_path: str = text(None, "Directory of such files.", default_text=_FROM, reload=True, by_hand=True)
    cert_file: str = text(None, "Our certificate, PEM.", default_text=_FROM, reload=True)
    key_file: str = text(None, "Its private key, PEM.", default_text=_FROM, reload=True)
    tls_min_version: str = text(
        None, "Oldest TLS version to speak.", default_text=f"{_FROM}, TLSv1_2", choices=_VERSIONS, reload=True
    )
    tls_cipher_suites: str = text(
        None, "Suites to offer up to TLS 1.2, comma-separated; best left alone.", default_text=_FROM, reload=True
    )
    verify_incoming: bool = switch(
        None,
        "Demand a certificate of our authorities from who connects.",
        default_text=_FROM,
        reload=True,
        by_hand=True,
    )
    verify_outgoing: bool = switch(
        None, "Demand such a certificate from whom we connect to.", default_text=_FROM, reload=True, by_hand=True
    )


class TLSDefaults(TLSProtocol):
    """What the other blocks take when they do not say."""

    ca_file: str = text("", "Certificate authorities to trust, PEM.", reload=True, by_hand=True, former=("ca_file",))
    ca_path: str = text("", "Directory of such files.", reload=True, by_hand=True, former=("ca_path",))
    cert_file: str = text("", "Our certificate, PEM.", reload=True, former=("cert_file",))
    key_file: str = text("", "Its private key, PEM.", reload=True, former=("key_file",))
    tls_min_version: str = text(
        "TLSv1_2", "Oldest TLS version to speak.", choices=_VERSIONS, reload=True, former=("tls_min_version",)
    )
    tls_cipher_suites: str = text(
        "", "Suites to offer up to TLS 1.2, comma-separated.", reload=True, former=("tls_cipher_suites",)
    )
    verify_incoming: bool = switch(
        False,
        "Demand a certificate of our authorities from who connects.",
        reload=True,
        by_hand=True,
        former=("verify_incoming",),
    )
    verify_outgoing: bool = switch(
        False,
        "Demand such a certificate from whom we connect to.",
        reload=True,
        by_hand=True,
        former=("verify_outgoing",),
    )


class TLSInternalRPC(TLSProtocol):
    """TLS of RPC between agents."""

    verify_incoming: bool = switch(
        None,
        "Demand a certificate of our authorities from who connects.",
        default_text=_FROM,
        reload=True,
        by_hand=True,
        former=("verify_incoming_rpc",),
    )
    verify_server_hostname: bool = switch(
        False,
        "Take only `server.<datacenter>.<domain>` for a server; else any holder of a certificate can pose as one.",
        reload=True,
        by_hand=True,
        former=("verify_server_hostname",),
    )


class TLSHttps(TLSProtocol):
    """TLS of the HTTPS API."""

    verify_outgoing: bool = switch(
        None, "Nobody is dialled for the HTTPS API; a check says `tls_skip_verify` itself.", inert=True
    )
    verify_incoming: bool = switch(
        None,
        "Demand a certificate of our authorities from who connects; browsers then need one.",
        default_text=_FROM,
        reload=True,
        by_hand=True,
        former=("verify_incoming_https",),
    )


class TLSGrpc(TLSProtocol):
    """TLS of gRPC (xDS)."""

    use_auto_cert: bool = switch(
        False, "Show the certificate of auto_encrypt or auto_config to gRPC clients.", reload=True
    )


class TLS(Group):
    """Certificates and how strictly they are asked for."""

    defaults: TLSDefaults = group(TLSDefaults, "For all.")
    internal_rpc: TLSInternalRPC = group(TLSInternalRPC, "Between agents.")
    https: TLSHttps = group(TLSHttps, "HTTPS API.")
    grpc: TLSGrpc = group(TLSGrpc, "gRPC.")


class AutoEncrypt(Group):
    """Certificates for clients from the mesh CA of the servers."""

    allow_tls: bool = switch(False, "Servers: hand such certificates out.")
    tls: bool = switch(False, "Clients: ask for one at start.")
    require_intro_token: bool = switch(
        False,
        "Servers: hand one out only for an introduction: a token of `tls join-token`, or a JWT that "
        "`auto_config.authorization.static` describes. Off, as in Consul, whoever reaches the port gets one; with "
        "ACLs on who has `node:write`. Ours.",
    )
    intro_token: str = text("", "Clients: the introduction. Ours.", secret=True)
    intro_token_file: str = text("", "Clients: file that holds it. Ours.")
    dns_san: tuple[str, ...] = words("DNS names to ask for.")
    ip_san: tuple[str, ...] = words("IP addresses to ask for.")


class AutoConfigStatic(Group):
    """How a client's introduction (a JWT) is judged."""

    allow_reuse: bool = switch(
        None,
        "Whether a token may introduce several nodes until it ends. `false` binds it to the one that shows it first.",
        default_text="true, as in Consul",
    )
    jwks_url: str = text("", "Where the issuer's keys are.")
    jwks_ca_cert: str = text("", "Authority of that address, PEM.")
    jwt_validation_pub_keys: tuple[str, ...] = words(
        "The issuer's keys, PEM. Without any source of keys, tokens of `tls join-token` are taken."
    )
    jwt_supported_algs: tuple[str, ...] = words("Algorithms taken.")
    oidc_discovery_url: str = text("", "Where the issuer describes itself.")
    oidc_discovery_ca_cert: str = text("", "Authority of that address, PEM.")
    bound_audiences: tuple[str, ...] = words("Audiences taken.")
    bound_issuer: str = text("", "Issuer taken.")
    claim_mappings: Mapping[str, str] = table("Claim to variable.")
    list_claim_mappings: Mapping[str, str] = table("Claim that is a list to variable.")
    claim_assertions: tuple[str, ...] = words("Filter expressions that must all hold; `${node}` is the client's name.")
    expiration_leeway: float = duration(0.0, "Slack of the end of a token.")
    not_before_leeway: float = duration(0.0, "Slack of the begin of a token.")
    clock_skew_leeway: float = duration(0.0, "Slack of clocks.")


class AutoConfigAuthorization(Group):
    """Servers: whom to configure."""

    enabled: bool = switch(False, "Answer clients.")
    static: AutoConfigStatic = group(AutoConfigStatic, "Judge by JWT.")


class AutoConfig(Group):
    """Token, certificates and gossip key for clients, over one call to a server."""

    enabled: bool = switch(False, "Clients: ask at start.")
    intro_token: str = text("", "The introduction, a JWT.", secret=True)
    intro_token_file: str = text("", "File that holds it.")
    server_addresses: tuple[str, ...] = words(
        "Servers to ask, as `host[:port]`; a token of `tls join-token` names them itself."
    )
    dns_sans: tuple[str, ...] = words("DNS names to ask for.")
    ip_sans: tuple[str, ...] = words("IP addresses to ask for.")
    authorization: AutoConfigAuthorization = group(AutoConfigAuthorization, "Servers.")


def _token(help: str, *former: str, reload: bool = True) -> str:
    return text("", help, secret=True, reload=reload, former=former)  # type: ignore[no-any-return]


class ACLTokens(Group):
    """Tokens of this agent."""

    initial_management: str = _token(
        "All-powerful token to make when a cluster is new; else `acl bootstrap`.",
        "acl_master_token",
        "acl.tokens.master",
        reload=False,
    )
    default: str = _token("For requests that bring none; empty is the anonymous token.", "acl_token")
    agent: str = _token("For the agent's own work (registering itself, anti-entropy).", "acl_agent_token")
    agent_recovery: str = _token(
        "Lets an operator use agent endpoints while no server can be asked.",
        "acl_agent_master_token",
        "acl.tokens.agent_master",
    )
    replication: str = _token("For copying ACLs from the primary datacenter.", "acl_replication_token")
    config_file_service_registration: str = _token("For services and checks of configuration files.")
    dns: str = _token("For DNS questions.")


class Audit(Group):
    """A file with every write and every denial. Ours."""

    path: str = text("", "Where it is written, one JSON object a line; empty is nowhere.")
    rotate_bytes: int = whole(64 << 20, "A new file after so many bytes.", low=4096)
    rotate_duration: float = duration(86400.0, "A new file after this time.", low=60)
    rotate_max_files: int = whole(30, "Old files that stay; 0 is all.", low=0)


class ACL(Group):
    """Who may do what. Off, everybody may do everything."""

    enabled: bool = switch(False, "Ask for tokens.")
    default_policy: str = text(
        "allow",
        "What no rule speaks of: `deny` is safe, `allow` is for moving in.",
        choices=("allow", "deny"),
        former=("acl_default_policy",),
    )
    down_policy: str = text(
        "extend-cache",
        "While tokens cannot be looked up: go on with what is cached, however old, or decide flatly.",
        choices=("allow", "deny", "extend-cache", "async-cache"),
        former=("acl_down_policy",),
    )
    policy_ttl: float = duration(30.0, "How long policies are cached: longer is less load and later revocation.", low=0)
    role_ttl: float = duration(None, "How long roles are cached.", low=0, default_text="policy_ttl")
    token_ttl: float = duration(30.0, "How long tokens are cached.", low=0, former=("acl_ttl",))
    enable_key_list_policy: bool = switch(
        False, "Listing keys needs `list`, not only `read`.", former=("acl_enable_key_list_policy",)
    )
    enable_token_persistence: bool = switch(False, "Keep tokens set over the API in `data_dir`.")
    enable_token_replication: bool = switch(
        False, "Copy global tokens from the primary datacenter.", former=("enable_acl_replication",)
    )
    audit: Audit = group(Audit, "The audit log; it counts with ACLs off, too.")
    tokens: ACLTokens = group(ACLTokens, "Tokens of this agent.")
