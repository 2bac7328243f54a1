"""What all config entries share: their row type, and the parts several kinds use.

An entry is a frozen struct tagged with its kind. `normalised` fills what Consul fills (defaults, lower case);
`problem` says what is wrong with the entry alone. What it may not be beside other entries is `graph.py`.

Source: surface section 7.2; developer.hashicorp.com/consul/docs/connect/config-entries. What may change here: fields
may be added with a default (entries live in logs and snapshots), never renamed.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from meshagent.catalog.model import Row, always

__all__ = [
    "TLS_VERSIONS",
    "Entry",
    "GoDuration",
    "HeaderModifiers",
    "Nanoseconds",
    "Part",
    "entry_name",
    "multierror",
    "required",
    "tls_problem",
]

#: A duration kept and shown as whole nanoseconds.
Nanoseconds = Annotated[int, msgspec.Meta(description="nanoseconds")]
#: A duration kept and shown as Go writes it ("1m30s"); "" is none.
GoDuration = Annotated[str, msgspec.Meta(description="duration")]

_ACRONYMS = frozenset(
    [
        "id",
        "http",
        "tcp",
        "udp",
        "ttl",
        "tls",
        "grpc",
        "sni",
        "ip",
        "dns",
        "url",
        "json",
        "ca",
        "jwks",
        "uri",
        "jwt",
        "sds",
    ]
)

#: Envoy's names, weakest first; TLS_AUTO leaves it to Envoy.
TLS_VERSIONS = ("TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3")
_CIPHER_SUITES = frozenset(
    [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "TLS_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_RSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        "TLS_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_RSA_WITH_AES_256_CBC_SHA",
    ]
)


def entry_name(attribute: str) -> str:
    """Consul's JSON name of an attribute: `ca_file` -> `CAFile`."""
    return "".join(w.upper() if w in _ACRONYMS else w[:1].upper() + w[1:] for w in attribute.split("_"))


class Part(Row, frozen=True, kw_only=True, rename=entry_name):
    """A nested object of an entry."""


class Entry(Row, frozen=True, kw_only=True, rename=entry_name, tag_field="Kind", tag=""):
    """A config entry; (kind, name) is unique. `hash` tells contents apart, 0 for what no user wrote."""

    name: str = always("")
    meta: dict[str, str] | None = None
    hash: int = 0
    create_index: int = always(0)
    modify_index: int = always(0)

    @property
    def kind(self) -> str:
        """The kind, e.g. `service-defaults`."""
        return str(self.__struct_config__.tag)

    def normalised(self) -> Entry:
        """The entry with what is left out filled in."""
        return self

    def problem(self) -> str:
        """What is wrong with the entry, in Consul's words; "" when nothing is."""
        return ""

    def related(self) -> frozenset[str]:
        """The services it names beside its own: a change of theirs may break it."""
        return frozenset()


class HeaderModifiers(Part, frozen=True, kw_only=True):
    """Headers to add, set and remove."""

    add: dict[str, str] | None = None
    set: dict[str, str] | None = None
    remove: tuple[str, ...] = ()


def multierror(problems: list[str]) -> str:
    """Several problems as one text, as Go's multierror writes it."""
    if not problems:
        return ""
    lines = "\n\t".join(f"* {problem}" for problem in problems)
    count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
    return f"{count} occurred:\n\t{lines}\n\n"


def required(name: str) -> str:
    """The problem of an empty name."""
    return "" if name else "Name is required"


def tls_problem(minimum: str, maximum: str, cipher_suites: tuple[str, ...] | None) -> str:
    """What is wrong with the TLS parameters of a gateway or the mesh."""
    for version in (minimum, maximum):
        if version and version not in TLS_VERSIONS:
            return f"no matching TLS version found for {version}, please specify one of [{', '.join(TLS_VERSIONS)}]"
    if minimum and maximum and TLS_VERSIONS.index(maximum) < TLS_VERSIONS.index(minimum):
        return f"configuring TLS: max version {maximum} is less than min version {minimum}"
    if cipher_suites and "TLSv1_3" in {minimum}:
        return "configuring CipherSuites is only applicable to connections negotiated with TLS 1.2 or earlier"
    for suite in cipher_suites or ():
        if suite not in _CIPHER_SUITES:
            return f"unsupported cipher suite: {suite}"
    return ""


def changed(part: Any, **fields: Any) -> Any:
    """A copy of a struct with other values."""
    return msgspec.structs.replace(part, **fields)
