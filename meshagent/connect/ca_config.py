"""The configuration of the certificate authority: from the keys as they were sent to checked values.

Keys may be CamelCase or snake_case, durations text or nanoseconds. The texts of refusals are Consul's.

Source: surface rows CN2, M62, M66; leaf.md of the golden mesh data (refused configurations, defaults). What may change
here: keys of further providers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from meshagent.catalog.entries.decoding import PREFIX, decode
from meshagent.catalog.entries.entry import Nanoseconds, Part
from meshagent.durations import format_duration
from meshagent.errors import BadRequest, InternalError

__all__ = ["DEFAULTS", "HIDDEN", "CASettings", "named", "parse", "provider_problem", "without_secrets"]

#: What a fresh cluster is configured with, as Consul shows it.
DEFAULTS: Mapping[str, Any] = {"IntermediateCertTTL": "8760h", "LeafCertTTL": "72h", "RootCertTTL": "87600h"}
#: Stands for a private key in what is shown; sent back, it means the key that is there.
HIDDEN = "hidden"

_HOUR = 3_600_000_000_000
_MIN_LEAF, _MAX_LEAF = _HOUR, 8760 * _HOUR
_EC_BITS = (224, 256, 384, 521)
_RSA_BITS = (2048, 4096)
_PROVIDERS = ("consul", "vault", "aws-pca")


class _Raw(Part, frozen=True, kw_only=True):
    """The keys of the built-in provider."""

    leaf_cert_ttl: Nanoseconds = 72 * _HOUR
    intermediate_cert_ttl: Nanoseconds = 8760 * _HOUR
    root_cert_ttl: Nanoseconds = 87600 * _HOUR
    csr_max_per_second: float = 50.0
    csr_max_concurrent: int = 0
    private_key_type: str = ""
    private_key_bits: int = 0
    private_key: str = ""
    root_cert: str = ""


_NAMES = {
    name.lower(): name
    for name in (
        "LeafCertTTL", "IntermediateCertTTL", "RootCertTTL", "CSRMaxPerSecond", "CSRMaxConcurrent", "PrivateKeyType",
        "PrivateKeyBits", "PrivateKey", "RootCert", "Address", "Token", "RootPKIPath", "IntermediatePKIPath", "CAFile",
        "CAPath", "CertFile", "KeyFile", "TLSServerName", "TLSSkipVerify", "AuthMethod", "ExistingARN", "DeleteOnExit",
    )
}  # fmt: skip
_KNOWN = frozenset(name.replace("_", "") for name in _Raw.__struct_fields__)


@dataclass(frozen=True, slots=True, repr=False)
class CASettings:
    """What the built-in provider works with. `private_key` and `root_cert` are PEM texts of an own root, or ""."""

    leaf_life: timedelta = timedelta(hours=72)
    intermediate_life: timedelta = timedelta(days=365)
    root_life: timedelta = timedelta(days=3650)
    csr_max_per_second: float = 50.0
    csr_max_concurrent: int = 0
    key_type: str = "ec"
    key_bits: int = 256
    private_key: str = ""
    root_cert: str = ""


def named(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of an agent's `ca_config` under the names that the API shows: `leaf_cert_ttl` is LeafCertTTL."""
    return {_NAMES.get(_fold(key), key): value for key, value in config.items()}


def provider_problem(provider: str, config: Mapping[str, Any]) -> str:
    """Why a provider cannot be used; "" for those that can."""
    if provider not in _PROVIDERS:
        return f'could not initialize provider: unknown CA provider "{provider}"'
    if provider == "consul":
        return ""
    folded = {_fold(key) for key, value in config.items() if value}
    if provider == "vault" and not folded & {"token", "authmethod"}:
        return "error configuring provider: must provide a Vault token or configure a Vault auth method"
    if provider == "vault":
        return ""
    return f"error configuring provider: the CA provider {provider} is not built yet in meshagent"


def parse(config: Mapping[str, Any]) -> CASettings:
    """The settings of the built-in provider; keys it does not know are ignored, as Consul does.

    Raises:
        InternalError: naming what is wrong.
    """
    try:
        raw = decode(_Raw, {key: value for key, value in config.items() if _fold(key) in _KNOWN})
    except BadRequest as error:
        text = str(error).removeprefix(PREFIX)
        raise InternalError(f"error configuring provider: error decoding config: {text}") from error
    problem = _problem(raw)
    if problem:
        raise InternalError(f"error configuring provider: {problem}")
    key_type = raw.private_key_type or "ec"
    bits = raw.private_key_bits or (256 if key_type == "ec" else 2048)
    return CASettings(
        leaf_life=_span(raw.leaf_cert_ttl),
        intermediate_life=_span(raw.intermediate_cert_ttl),
        root_life=_span(raw.root_cert_ttl),
        csr_max_per_second=raw.csr_max_per_second,
        csr_max_concurrent=raw.csr_max_concurrent,
        key_type=key_type,
        key_bits=bits,
        private_key="" if raw.private_key == HIDDEN else raw.private_key,
        root_cert=raw.root_cert,
    )


def _problem(raw: _Raw) -> str:
    if raw.leaf_cert_ttl < _MIN_LEAF:
        return f"leaf cert TTL must be greater or equal than {format_duration(_MIN_LEAF)}"
    if raw.leaf_cert_ttl > _MAX_LEAF:
        return f"leaf cert TTL must be less than {format_duration(_MAX_LEAF)}"
    if raw.intermediate_cert_ttl < 3 * raw.leaf_cert_ttl:
        return f"Intermediate Cert TTL must be greater or equal than {3 * raw.leaf_cert_ttl // _HOUR}h"
    if raw.root_cert_ttl < raw.intermediate_cert_ttl:
        return (
            f"root cert TTL ({format_duration(raw.root_cert_ttl)}) must be greater or equal than the intermediate cert "
            f"TTL ({format_duration(raw.intermediate_cert_ttl)})"
        )
    if raw.private_key_type not in {"", "ec", "rsa"}:
        return "private key type must be either 'ec' or 'rsa'"
    if raw.private_key_bits:
        if raw.private_key_type == "rsa":
            if raw.private_key_bits not in _RSA_BITS:
                return "RSA key length must be 2048 or 4096 bits"
        elif raw.private_key_bits not in _EC_BITS:
            return "EC key length must be one of (224, 256, 384, 521) bits"
    if raw.root_cert and not raw.private_key:
        return "must provide a private key when providing a root cert"
    return ""


def without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys as they may be stored and shown: a private key, a token or what logs in is never among them."""
    return {key: _shown(_fold(key), value) for key, value in config.items()}


def _shown(key: str, value: Any) -> Any:
    if key in ("privatekey", "token") and value:
        return HIDDEN
    if key == "authmethod" and isinstance(value, Mapping):
        return {
            name: dict.fromkeys(one, HIDDEN) if _fold(name) == "params" and isinstance(one, Mapping) else one
            for name, one in value.items()
        }
    return value


def _span(nanoseconds: int) -> timedelta:
    return timedelta(microseconds=nanoseconds // 1000)


def _fold(key: str) -> str:
    return key.replace("_", "").lower()
