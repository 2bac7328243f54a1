"""What a configuration must fulfil as a whole: problems stop the start, warnings are logged.

Source: surface rows G2 and G10 to G25; wording after upstream where users know it. Bounds of a single option belong to
the option. A new rule is one function in `_RULES` that yields (key, text): the key finds file and line.
"""

from __future__ import annotations

import base64
import binascii
import os.path
import re
from collections.abc import Callable, Iterable

from meshagent.agent.compatibility import waits_for
from meshagent.agent.config.merge import Draft
from meshagent.agent.config.preset import DEV_PLACE
from meshagent.agent.config.resolve import ANY_ADDRESSES, Host
from meshagent.agent.config.resolved import Listen
from meshagent.agent.config.root import Config
from meshagent.agent.config.ui_rules import ui_findings
from meshagent.agent.definitions.service import meta_problem
from meshagent.errors import BadRequest
from meshagent.ids import is_uuid

__all__ = ["check"]

#: (key, text); of several keys the first that a source gave says where.
Findings = Iterable[tuple[str | tuple[str, ...], str]]
_LABEL = re.compile(r"[a-zA-Z0-9-]+\Z")
_LOWER = re.compile(r"[a-z0-9_-]+\Z")
_SCRIPTS_OFF = (
    "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or "
    "'enable_local_script_checks' to true"
)


def check(config: Config, draft: Draft, host: Host) -> None:
    """Adds all problems and warnings of `config` on `host` to `draft`."""
    for rule in _RULES:
        draft.problems += [draft.where(key) + text for key, text in rule(config)]
    draft.problems += [draft.where(key) + text for key, text in _folders(config, host)]
    for rule in _WARNINGS:
        draft.warnings += [draft.where(key) + text for key, text in rule(config)]
    draft.warnings += [draft.where(key) + text for key, text in _given(draft)]
    _registrations(config, draft)


def _identity(config: Config) -> Findings:
    if not config.data_dir and not config.dev_mode:
        yield "data_dir", "data_dir cannot be empty"
    if not config.node_name:
        yield "node_name", "node_name cannot be empty"
    for key in ("datacenter", "primary_datacenter"):
        value = getattr(config, key)
        if key == "primary_datacenter" and value == config.datacenter:
            continue
        if not value:
            yield key, f"{key} cannot be empty"
        elif not _LOWER.match(value):
            yield key, f"{key} can only contain lowercase alphanumeric, - or _ characters, not {value!r}"
    if config.node_id and not is_uuid(config.node_id):
        yield "node_id", f"node_id: {config.node_id!r} is not a UUID"
    if problem := meta_problem(config.node_meta):
        yield "node_meta", f"node_meta invalid: {problem}"
    if config.locality.zone and not config.locality.region:
        yield "locality.zone", "locality is invalid: zone cannot be set without region"


def _servers(config: Config) -> Findings:
    if config.bootstrap_expect < 0:
        yield (
            "bootstrap_expect",
            (f"bootstrap_expect cannot be {config.bootstrap_expect}. Must be greater than or equal to zero"),
        )
    if config.bootstrap_expect > 0 and not config.server:
        yield "bootstrap_expect", "'bootstrap_expect > 0' requires 'server = true'"
    if config.bootstrap and not config.server:
        yield "bootstrap", "'bootstrap = true' requires 'server = true'"
    if config.bootstrap and config.bootstrap_expect > 0:
        yield "bootstrap_expect", "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive"
    if config.auto_encrypt.allow_tls and not config.server:
        yield "auto_encrypt.allow_tls", "auto_encrypt.allow_tls can only be used on a server."
    if config.auto_encrypt.tls and config.server:
        yield "auto_encrypt.tls", "auto_encrypt.tls can only be used on a client."
    if config.auto_config.enabled and config.server:
        yield "auto_config.enabled", "auto_config.enabled cannot be set to true for server agents."
    if config.auto_config.authorization.enabled and not config.server:
        yield "auto_config.authorization.enabled", "auto_config.authorization can only be used on a server."
    yield from _automatic(config)
    if config.connect.enable_mesh_gateway_wan_federation:
        key = "connect.enable_mesh_gateway_wan_federation"
        if not config.server:
            yield key, f"'{key} = true' requires 'server = true'"
        if config.retry_join_wan:
            yield "retry_join_wan", f"'retry_join_wan' is incompatible with '{key} = true'"
    if config.primary_gateways and config.primary_datacenter == config.datacenter:
        yield "primary_gateways", "'primary_gateways' should only be configured in a secondary datacenter"


def _automatic(config: Config) -> Findings:
    """`auto_encrypt` and `auto_config`; what a token itself must tell is looked at when it is used."""
    block, tls = config.auto_config, config.tls.internal_rpc
    if config.auto_encrypt.tls and block.enabled:
        yield "auto_encrypt.tls", "both auto_encrypt.tls and auto_config.enabled cannot be set to true."
    if config.auto_encrypt.tls and (tls.cert_file or tls.key_file):
        yield (
            "auto_encrypt.tls",
            "auto_encrypt.tls: the certificate of tls.internal_rpc would be used instead: give one or the other",
        )
    if block.authorization.enabled and config.server and not tls.cert_file:
        yield (
            "auto_config.authorization.enabled",
            "auto_config.authorization.enabled cannot be set without providing a TLS certificate for the server",
        )
    judged = config.auto_encrypt.require_intro_token
    if judged:
        key = "auto_encrypt.require_intro_token"
        if not config.auto_encrypt.allow_tls:
            yield key, f"{key} needs auto_encrypt.allow_tls"
        if not tls.verify_incoming:  # a renewal shows the certificate that it renews: somebody must look at it
            yield key, f"{key} needs tls.internal_rpc.verify_incoming"
    if not ((block.authorization.enabled or judged) and tls.cert_file):
        return
    from meshagent.agent.auto.introductions import assertion_problem

    static = block.authorization.static
    for assertion in static.claim_assertions:
        if problem := assertion_problem(assertion):
            key = "auto_config.authorization.static.claim_assertions"
            yield key, f"{key}: {assertion!r} is invalid: {problem}"
    sources = [name for name in ("jwt_validation_pub_keys", "jwks_url", "oidc_discovery_url") if getattr(static, name)]
    if len(sources) > 1:
        key = "auto_config.authorization.static"
        yield key, f"{key} has invalid configuration: exactly one of {', '.join(sources)} must be set"
    if not sources and not (tls.ca_file or tls.ca_path):
        key = "auto_config.authorization.static"
        yield key, f"{key}: without keys, tokens of the agents' authority are taken: set tls.internal_rpc.ca_file"


def _automatic_warnings(config: Config) -> Findings:
    tls = config.tls.internal_rpc
    if config.auto_encrypt.allow_tls:
        if not tls.cert_file:
            yield "auto_encrypt.allow_tls", "auto_encrypt.allow_tls has no effect without tls.internal_rpc.cert_file"
        elif not tls.verify_incoming:
            yield (
                "auto_encrypt.allow_tls",
                "if auto_encrypt.allow_tls is turned on, tls.internal_rpc.verify_incoming should be enabled",
            )
    introduced = config.auto_encrypt.intro_token or config.auto_encrypt.intro_token_file
    if config.auto_encrypt.tls and not (tls.ca_file or tls.ca_path or introduced):
        yield (
            "auto_encrypt.tls",
            "auto_encrypt.tls without tls.internal_rpc.ca_file takes the first certificate from whoever answers",
        )
    if config.auto_config.intro_token and config.auto_config.intro_token_file:
        yield (
            "auto_config.intro_token",
            "Both an intro token and intro token file are set. The intro token will be used instead of the file",
        )


def _ports(config: Config) -> Findings:
    for kind in ("sidecar", "expose"):
        low, high = (getattr(config.ports, f"{kind}_{end}_port") for end in ("min", "max"))
        if low > high:
            yield f"ports.{kind}_min_port", f"{kind}_min_port cannot be greater than {kind}_max_port ({low} > {high})"
    for key in ("serf_lan", "server"):
        if getattr(config.ports, key) <= 0 and (config.server or key != "server"):
            yield f"ports.{key}", f"ports.{key} must be a valid port from 1 to 65535"
    network = config.network
    taken: dict[Listen, str] = {}
    for key, places in {
        "dns": network.dns,
        "http": network.http,
        "https": network.https,
        "grpc": network.grpc,
        "grpc_tls": network.grpc_tls,
        "server": (network.server,),
        "serf_lan": (network.serf_lan,),
        "serf_wan": (network.serf_wan,),
    }.items():
        for place in places:
            if place is not None and (place in taken or _any(place) in taken):
                other = taken.get(place) or taken[_any(place)]
                yield (
                    (f"ports.{key}", f"ports.{other}"),
                    f"ports.{key}: {place} is already configured for ports.{other}",
                )
            elif place is not None:
                taken[place] = key


def _any(place: Listen) -> Listen:
    return place._replace(host="0.0.0.0") if not place.path else place


def _gossip(config: Config) -> Findings:
    if config.encrypt:
        try:
            key = base64.b64decode(config.encrypt, validate=True)
        except (binascii.Error, ValueError):
            yield "encrypt", "encrypt has invalid key: it is not base64; `meshagent keygen` makes one"
        else:
            if len(key) not in {16, 24, 32}:
                yield "encrypt", f"encrypt has invalid key: key size must be 16, 24 or 32 bytes, not {len(key)}"
    for key_ in ("serf_lan_allowed_cidrs", "serf_wan_allowed_cidrs"):
        yield from _networks(key_, getattr(config, key_))


def _networks(key: str, networks: tuple[str, ...]) -> Findings:
    import ipaddress

    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            yield key, f"{key}: {network!r} is not a network such as 10.0.0.0/8"


def _tls(config: Config) -> Findings:
    automatic = config.auto_encrypt.tls or config.auto_config.enabled
    for name in ("defaults", "internal_rpc", "https", "grpc"):
        block = getattr(config.tls, name)
        key = f"tls.{name}"
        if bool(block.cert_file) != bool(block.key_file):
            yield f"{key}.cert_file", f"{key}: cert_file and key_file must be given together"
        if block.verify_incoming and name != "defaults" and not (block.ca_file or block.ca_path or automatic):
            yield f"{key}.verify_incoming", f"{key}: VerifyIncoming set but no CA certificates were provided"


def _serving(config: Config) -> Findings:
    for recursor in config.recursors:
        if recursor.partition("%")[0] in ANY_ADDRESSES:
            yield "recursors", "DNS recursor address cannot be 0.0.0.0, :: or [::]"
    yield from _networks("http_config.allow_write_http_from", config.http_config.allow_write_http_from)
    yield from ui_findings(config.ui_config)
    if config.cache.entry_fetch_rate is not None and config.cache.entry_fetch_rate <= 0:
        yield "cache.entry_fetch_rate", "cache.entry_fetch_rate must be strictly positive"
    if config.cache.entry_fetch_max_burst <= 0:
        yield "cache.entry_fetch_max_burst", "cache.entry_fetch_max_burst must be strictly positive"


def _folders(config: Config, host: Host) -> Findings:
    """Only what is not there: whether the agent's user may write is known when it starts."""
    folder = os.path.dirname(config.log_file)
    if folder and host.lacks_folder(folder):
        yield "log_file", f"log_file: there is no folder {folder}; make it, or change log_file"


#: Each yields (key, problem).
_RULES: tuple[Callable[[Config], Findings], ...] = (_identity, _servers, _ports, _gossip, _tls, _serving)


def _names(config: Config) -> Findings:
    name = config.node_name
    if name and not _LABEL.match(name):
        yield (
            "node_name",
            (
                f'Node name "{name}" will not be discoverable via DNS due to invalid characters. '
                "Valid characters include all alpha-numerics and dashes."
            ),
        )
    elif len(name) > 63:
        yield (
            "node_name",
            (
                f'Node name "{name}" will not be discoverable via DNS due to it being too long. '
                "Valid lengths are between 1 and 63 bytes."
            ),
        )


def _expectations(config: Config) -> Findings:
    expect = config.bootstrap_expect
    if expect == 2:
        yield "bootstrap_expect", "bootstrap_expect = 2: A cluster with 2 servers will provide no failure tolerance."
    elif expect > 2 and expect % 2 == 0:
        yield (
            "bootstrap_expect",
            (
                "bootstrap_expect is even number: "
                "A cluster with an even number of servers does not achieve optimum fault tolerance."
            ),
        )


def _safety(config: Config) -> Findings:
    if config.max_query_time < config.default_query_time:
        yield "max_query_time", "max_query_time is below default_query_time, so it also limits queries without `wait`"
    open_http = any(not _loopback(place) for place in config.network.http + config.network.https)
    guarded = config.acl.enabled or config.http_config.allow_write_http_from
    if config.enable_script_checks and open_http and not guarded:
        yield (
            "enable_script_checks",
            (
                "[SECURITY] issue: using enable_script_checks without ACLs and without allow_write_http_from is "
                "DANGEROUS, use enable_local_script_checks instead"
            ),
        )
    if (
        config.network.https
        and not config.tls.https.cert_file
        and not (config.auto_encrypt.tls or config.auto_config.enabled)
    ):
        yield "ports.https", "tls.https has no cert_file: every handshake on the HTTPS port will fail"
    if config.acl.enabled and config.acl.default_policy == "allow":
        yield "acl.default_policy", 'acl.default_policy = "allow" lets everybody do what no rule denies'


def _loopback(place: Listen) -> bool:
    return bool(place.path) or place.host.startswith("127.") or place.host == "::1"


def _given(draft: Draft) -> Findings:
    """What a file or flag asks for by itself, whatever became of it: the preset of `-dev` is not asked."""
    options = dict(Config.every_option())
    for key, value in draft.values.items():
        if draft.places[key] == DEV_PLACE or value == options[key].default:
            continue
        if key == "bootstrap":
            yield key, "bootstrap = true: only ever for a single server"
        if feature := waits_for(key):
            yield key, f"{key} has no effect yet: it waits for {feature}"


_WARNINGS: tuple[Callable[[Config], Findings], ...] = (_names, _expectations, _safety, _automatic_warnings)


def _registrations(config: Config, draft: Draft) -> None:
    """Services, checks and watches of files, each with its own place."""
    scripts = config.enable_script_checks or config.enable_local_script_checks

    def wrong(key: str, at: int, text: str) -> None:
        places = draft.row_places.get(key, [])
        place = places[at] if at < len(places) else None
        draft.problems.append(f"{place}: {text}" if place else text)

    for at, service in enumerate(config.services):
        what = f"service {service.service_id!r}"
        try:
            service.validate()
        except BadRequest as error:
            wrong("services", at, f"{what}: {error}".rstrip())
        sidecar = service.sidecar
        checks = service.all_checks + (sidecar.all_checks if sidecar else ())
        if not scripts and any(check.runs_commands for check in checks):
            wrong("services", at, f"{what}: {_SCRIPTS_OFF}")
        draft.warnings += service.warnings()
    for at, definition in enumerate(config.checks):
        try:
            definition.validate()
        except BadRequest as error:
            wrong("checks", at, f"check {definition.id or definition.name!r}: {error}")
        if not scripts and definition.runs_commands:
            wrong("checks", at, f"check {definition.name!r}: {_SCRIPTS_OFF}")
    for at, watch in enumerate(config.watches):
        if problem := watch.problem():
            wrong("watches", at, f"watch: {problem}")
