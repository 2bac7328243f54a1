"""I/O edge: Vault as the certificate authority, through its HTTP API: it keeps the keys and signs.

The root is at `RootPKIPath`, an intermediate of the mesh at `IntermediatePKIPath`; both are made when they are not
there. Calls block and run in a thread. What is stored with a root are the credentials, in place of a private key.

Source: developer.hashicorp.com/vault/api-docs/secret/pki, .../auth/token and .../auth; developer.hashicorp.com/consul/
docs/connect/ca/vault (keys, role, policies); surface row M66. What may change here: further keys of the configuration.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from meshagent.connect.ca_config import HIDDEN, CASettings
from meshagent.errors import InternalError, Unavailable

__all__ = ["Vault", "VaultSettings", "credentials", "is_credentials", "parse_vault"]

ROLE = "leaf-cert"
#: Ours: of client agents, whose requests do not know the trust domain: names are given beside the request.
AGENT_ROLE = "meshagent-agent-cert"
#: What both roles allow.
_ROLE: Mapping[str, Any] = {
    "allow_any_name": True,
    "allowed_uri_sans": "spiffe://*",
    "key_type": "any",
    "no_store": True,
    "require_cn": False,
}
_TIMEOUT_S = 20.0
_MAX_ANSWER_BYTES = 1 << 20
_PREFIX = "error configuring provider"


class AuthMethod(msgspec.Struct, frozen=True):
    """How a token is got: POST of `params` to `auth/<mount_path>/login`."""

    type: str
    mount_path: str = ""
    params: dict[str, Any] = {}


class VaultSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How Vault is reached. `token`, `auth` and `kept_token` are secrets: never logged, and repr hides them."""

    address: str
    root_path: str
    intermediate_path: str
    token: str = ""
    auth: AuthMethod | None = None
    namespace: str = ""
    root_namespace: str = ""
    intermediate_namespace: str = ""
    ca_file: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False

    def __repr__(self) -> str:
        return f"VaultSettings(address={self.address!r})"


_TEXTS = {
    "address": "address",
    "token": "token",
    "rootpkipath": "root_path",
    "intermediatepkipath": "intermediate_path",
    "namespace": "namespace",
    "rootpkinamespace": "root_namespace",
    "intermediatepkinamespace": "intermediate_namespace",
    "cafile": "ca_file",
    "tlsservername": "tls_server_name",
}


def parse_vault(config: Mapping[str, Any], held: VaultSettings | None = None) -> VaultSettings:
    """The settings in a configuration. A secret that reads as hidden is that of `held`.

    Raises:
        InternalError: naming what is missing or wrong.
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        folded = key.replace("_", "").lower()
        if folded in _TEXTS and value:
            if not isinstance(value, str):
                raise InternalError(f"{_PREFIX}: error decoding config: '{key}' expected type 'string'")
            found[_TEXTS[folded]] = value.strip("/") if folded.endswith("pkipath") else value
        elif folded == "tlsskipverify":
            found["tls_skip_verify"] = value in (True, "true", 1)
        elif folded == "authmethod" and value:
            found["auth"] = _auth(value)
    if found.get("token") == HIDDEN:
        found["token"] = held.token if held is not None else ""
    auth = found.get("auth")
    if auth is not None and HIDDEN in auth.params.values():
        found["auth"] = held.auth if held is not None else None
    if found.get("token") and found.get("auth"):
        raise InternalError(f"{_PREFIX}: only one of Vault token or Vault auth method can be provided, but not both")
    if not found.get("token") and not found.get("auth"):
        raise InternalError(f"{_PREFIX}: must provide a Vault token or configure a Vault auth method")
    for name, field in (("RootPKIPath", "root_path"), ("IntermediatePKIPath", "intermediate_path")):
        if not found.get(field):
            raise InternalError(
                f"{_PREFIX}: must provide a valid path {'to a ' if name[0] == 'R' else 'for the '}{name}"
            )
    if urlsplit(found.get("address", "")).scheme not in ("http", "https"):
        raise InternalError(f"{_PREFIX}: Address must be http://... or https://...")
    return VaultSettings(**found)


def _auth(value: Any) -> AuthMethod:
    if not isinstance(value, Mapping):
        raise InternalError(f"{_PREFIX}: error decoding config: 'auth_method' expected a map")
    folded = {key.replace("_", "").lower(): one for key, one in value.items()}
    kind, params = folded.get("type"), folded.get("params") or {}
    if not isinstance(kind, str) or not kind or not isinstance(params, Mapping):
        raise InternalError(f"{_PREFIX}: AuthMethod: Type (text) and Params (a map) are wanted")
    return AuthMethod(kind, str(folded.get("mountpath") or kind).strip("/"), dict(params))


def credentials(settings: VaultSettings) -> bytes:
    """What is stored in place of a private key."""
    return msgspec.json.encode(settings)


def is_credentials(key: bytes) -> bool:
    """Whether a stored key is that."""
    return key.startswith(b"{")


class Vault:
    """One Vault. All methods block."""

    def __init__(self, settings: VaultSettings) -> None:
        self.settings = settings
        self._token = settings.token

    @classmethod
    def of(cls, stored: bytes) -> Vault:
        """From what `credentials` gave."""
        return cls(msgspec.json.decode(stored, type=VaultSettings))

    # --- root and intermediate ---------------------------------------------------------------------------------

    def root(self, name: str, uri: str, settings: CASettings) -> str:
        """The root's certificate (PEM), made when there is none. Raises Unavailable, InternalError."""
        path, namespace = self.settings.root_path, self._namespace("root")
        pem = self._pem(path, namespace)
        if pem:
            return pem
        self._mount(path, namespace, settings.root_life, "root CA backend for Consul Connect")
        body = {
            "common_name": name,
            "uri_sans": uri,
            "key_type": settings.key_type,
            "key_bits": settings.key_bits,
            "ttl": _seconds(settings.root_life),
        }
        self._call("POST", "/".join((path, "root/generate/internal")), namespace, body)
        pem = self._pem(path, namespace)
        if not pem:
            raise InternalError(f"{_PREFIX}: Vault made no root at {path}")
        return pem

    def intermediate(self, name: str, uri: str, settings: CASettings) -> str:
        """A fresh intermediate (PEM), signed by the root, and the role that signs leafs with it."""
        path, namespace = self.settings.intermediate_path, self._namespace("intermediate")
        self._mount(path, namespace, settings.intermediate_life, "intermediate CA backend for Consul Connect")
        role = {**_ROLE, "max_ttl": _seconds(settings.leaf_life)}
        self._call("POST", f"{path}/roles/{ROLE}", namespace, role)
        asked = {
            "common_name": name,
            "uri_sans": uri,
            "key_type": settings.key_type,
            "key_bits": settings.key_bits,
        }
        csr = self._text(self._call("POST", f"{path}/intermediate/generate/internal", namespace, asked), "csr")
        body = {
            "csr": csr,
            "use_csr_values": True,
            "format": "pem_bundle",
            "ttl": _seconds(settings.intermediate_life),
        }
        signed = self._call(
            "POST", "/".join((self.settings.root_path, "root/sign-intermediate")), self._namespace("root"), body
        )
        pem = _ended(self._text(signed, "certificate"))
        first = pem[: pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"  # the bundle has the root
        answer = self._call("POST", f"{path}/intermediate/set-signed", namespace, {"certificate": pem})
        issuers = answer.get("imported_issuers")
        if isinstance(issuers, list) and issuers:  # Vault 1.11 and later keep several: the new one is to sign
            self._call("POST", f"{path}/config/issuers", namespace, {"default": issuers[0]})
        return first

    def cross_sign(self, root_pem: str) -> str:
        """Another root's certificate, signed by this one (PEM)."""
        path = "/".join((self.settings.root_path, "root/sign-self-issued"))
        return _ended(
            self._text(self._call("POST", path, self._namespace("root"), {"certificate": root_pem}), "certificate")
        )

    def sign(self, request_pem: str, life: timedelta) -> str:
        """The leaf of a request (PEM), signed by the intermediate."""
        path = f"{self.settings.intermediate_path}/sign/{ROLE}"
        body = {"csr": request_pem, "ttl": _seconds(life)}
        return _ended(self._text(self._call("POST", path, self._namespace("intermediate"), body), "certificate"))

    def sign_agent(self, request_pem: str, uri: str, names: Sequence[str], life: timedelta) -> str:
        """The certificate of a client agent (PEM), signed by the intermediate for these names in place of those in the
        request. The role is written each time: who set the mount up may have known nothing of it."""
        path, namespace = self.settings.intermediate_path, self._namespace("intermediate")
        role = {**_ROLE, "use_csr_sans": False, "use_csr_common_name": False, "max_ttl": _seconds(life)}
        self._call("POST", f"{path}/roles/{AGENT_ROLE}", namespace, role)
        addresses = [name for name in names if _is_address(name)]
        body = {
            "csr": request_pem,
            "uri_sans": uri,
            "alt_names": ",".join(name for name in names if name not in addresses),
            "ip_sans": ",".join(addresses),
            "exclude_cn_from_sans": True,
            "ttl": _seconds(life),
        }
        return _ended(self._text(self._call("POST", f"{path}/sign/{AGENT_ROLE}", namespace, body), "certificate"))

    def renew(self) -> None:
        """Renew the token if it can be; a login of an auth method is made anew when it has ended."""
        looked = self._call("GET", "auth/token/lookup-self", self.settings.namespace)
        if looked.get("renewable"):
            self._call("POST", "auth/token/renew-self", self.settings.namespace, {})

    # --- inside ------------------------------------------------------------------------------------------------

    def _namespace(self, which: str) -> str:
        own = self.settings.root_namespace if which == "root" else self.settings.intermediate_namespace
        return own or self.settings.namespace

    def _mount(self, path: str, namespace: str, life: timedelta, description: str) -> None:
        """Make the mount when it is not there; who may not look is believed that it is."""
        status, _ = self._send("GET", f"sys/mounts/{path}/tune", namespace)
        if status in (400, 404):
            body = {"type": "pki", "description": description, "config": {"max_lease_ttl": _seconds(life)}}
            self._call("POST", f"sys/mounts/{path}", namespace, body)

    def _pem(self, path: str, namespace: str) -> str:
        status, body = self._send("GET", f"{path}/ca/pem", namespace)
        return _ended(body.decode("ascii", "replace")) if status == 200 and b"BEGIN CERTIFICATE" in body else ""

    def _call(self, method: str, path: str, namespace: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The `data` of an answer. Raises Unavailable, InternalError."""
        status, text = self._send(method, path, namespace, body)
        try:
            answer = json.loads(text) if text else {}
        except ValueError:
            raise Unavailable(f"Vault at {self.settings.address} answered no JSON: {path}") from None
        if status >= 400:
            errors = answer.get("errors") if isinstance(answer, dict) else None
            reason = "; ".join(map(str, errors)) if isinstance(errors, list) and errors else f"status {status}"
            kind = Unavailable if status >= 500 or status == 429 else InternalError
            raise kind(f"Vault refused {method} {path}: {reason[:500]}")
        data = answer.get("data") if isinstance(answer, dict) else None
        return data if isinstance(data, dict) else {}

    @staticmethod
    def _text(data: Mapping[str, Any], name: str) -> str:
        value = data.get(name)
        if not isinstance(value, str) or not value:
            raise Unavailable(f"Vault's answer lacks {name}")
        return value

    def _send(self, method: str, path: str, namespace: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        if not self._token:
            self._login()
        status, text = self._once(method, path, namespace, body, self._token)
        if status == 403 and self.settings.auth is not None:  # the token has ended: once more with another
            self._login()
            status, text = self._once(method, path, namespace, body, self._token)
        return status, text

    def _login(self) -> None:
        auth = self.settings.auth
        if auth is None:
            raise Unavailable("there is no Vault token")
        path = f"auth/{auth.mount_path or auth.type}/login"
        status, text = self._once("POST", path, self.settings.namespace, auth.params, "")
        try:
            token = json.loads(text)["auth"]["client_token"]
        except (ValueError, KeyError, TypeError):
            token = ""
        if status != 200 or not isinstance(token, str) or not token:
            raise Unavailable(f"Vault refused the login by {auth.type}: status {status}")
        self._token = token

    def _once(
        self, method: str, path: str, namespace: str, body: Mapping[str, Any] | None, token: str
    ) -> tuple[int, bytes]:
        parts = urlsplit(self.settings.address)
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        headers = {"X-Vault-Request": "true", "Content-Type": "application/json"}
        if token:
            headers["X-Vault-Token"] = token
        if namespace:
            headers["X-Vault-Namespace"] = namespace
        sent = json.dumps(body).encode() if body is not None else None
        try:
            connection.request(method, f"{parts.path.rstrip('/')}/v1/{quote(path)}", sent, headers)
            answer = connection.getresponse()
            text = answer.read(_MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"Vault at {self.settings.address} is not reached: {error}") from error
        finally:
            connection.close()
        if len(text) > _MAX_ANSWER_BYTES:
            raise Unavailable(f"Vault's answer to {path} is longer than {_MAX_ANSWER_BYTES} bytes")
        return answer.status, text

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        settings = self.settings
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.tls_skip_verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if not settings.tls_server_name:
            return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
        return _NamedConnection(host, port, settings.tls_server_name, context)


class _NamedConnection(http.client.HTTPSConnection):
    """HTTPS whose certificate is for another name than the address."""

    def __init__(self, host: str, port: int | None, name: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=_TIMEOUT_S, context=context)
        self._name = name
        self._own_context = context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._own_context.wrap_socket(self.sock, server_hostname=self._name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _seconds(life: timedelta) -> str:
    return f"{int(life.total_seconds())}s"


def _ended(pem: str) -> str:
    return pem.strip() + "\n"
