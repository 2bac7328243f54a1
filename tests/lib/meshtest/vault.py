"""I/O edge: a Vault for tests: checks the shape of requests, and makes real certificates.

Used by tests/connect/test_vault.py and tests/e2e/test_vault.py. What may change here: further paths of its API.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from meshagent.connect import certs

__all__ = ["StubVault"]


class StubVault:
    """`asked` are (method, path, namespace, body); who has another token than `tokens` is refused."""

    def __init__(self) -> None:
        self.tokens = {"good"}
        self.asked: list[tuple[str, str, str, Any]] = []
        self.mounts: set[str] = set()
        self.problems: list[str] = []
        self.logins = 0
        self._root: tuple[bytes, bytes] | None = None
        self._between: tuple[bytes, bytes] | None = None
        self._serial = 100
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16

            def any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, answer = stub._answer(self.command, self.path, dict(self.headers), body)
                sent = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = any

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> StubVault:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def config(self, **more: Any) -> dict[str, Any]:
        """A configuration of the provider for it."""
        return {
            "Address": self.address,
            "Token": "good",
            "RootPKIPath": "connect-root",
            "IntermediatePKIPath": "connect-dc1/",
            **more,
        }

    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.asked]

    @property
    def root_pem(self) -> str:
        assert self._root is not None
        return self._root[0].decode()

    # --- the API -----------------------------------------------------------------------------------------------

    def _answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        path = path.removeprefix("/v1/")
        self.asked.append((method, path, headers.get("X-Vault-Namespace", ""), body))
        if headers.get("X-Vault-Request") != "true":
            self.problems.append(f"{path}: no X-Vault-Request")
        if path == "auth/approle/login":
            self.logins += 1
            if body != {"role_id": "r", "secret_id": "s"}:
                return 400, {"errors": ["invalid role or secret ID"]}
            self.tokens = {f"login-{self.logins}"}
            return 200, {"auth": {"client_token": f"login-{self.logins}", "renewable": True}}
        if headers.get("X-Vault-Token") not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        name = path.replace("/", "_").replace("-", "_")
        made = getattr(self, f"_{method}_{name}", None)
        if made is None:
            self.problems.append(f"{method} {path}: no such path")
            return 404, {"errors": []}
        result: tuple[int, Any] = made(body)
        return result

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _GET_sys_mounts_connect_root_tune(self, _: Any) -> tuple[int, Any]:
        return (200, {"data": {}}) if "root" in self.mounts else (400, {"errors": ["cannot fetch sysview"]})

    def _GET_sys_mounts_connect_dc1_tune(self, _: Any) -> tuple[int, Any]:
        return (200, {"data": {}}) if "between" in self.mounts else (400, {"errors": ["cannot fetch sysview"]})

    def _mounted(self, name: str, body: Any) -> tuple[int, Any]:
        if body["type"] != "pki" or not body["config"]["max_lease_ttl"].endswith("s"):
            self.problems.append(f"mount: {body}")
        self.mounts.add(name)
        return 204, b""

    def _POST_sys_mounts_connect_root(self, body: Any) -> tuple[int, Any]:
        return self._mounted("root", body)

    def _POST_sys_mounts_connect_dc1(self, body: Any) -> tuple[int, Any]:
        return self._mounted("between", body)

    def _GET_connect_root_ca_pem(self, _: Any) -> tuple[int, Any]:
        return (200, self._root[0].strip()) if self._root is not None else (204, b"")

    def _POST_connect_root_root_generate_internal(self, body: Any) -> tuple[int, Any]:
        self._root = self._authority(body)
        return 200, {"data": {"certificate": self._root[0].decode()}}

    def _authority(self, body: Any) -> tuple[bytes, bytes]:
        key = certs.new_key(body["key_type"], body["key_bits"])
        now = datetime.now(UTC)
        return certs.root(key, body["common_name"], body["uri_sans"], self._next(), now, timedelta(days=365)), key

    def _POST_connect_dc1_roles_leaf_cert(self, body: Any) -> tuple[int, Any]:
        if body["allowed_uri_sans"] != "spiffe://*" or body["require_cn"] is not False or not body["allow_any_name"]:
            self.problems.append(f"role: {body}")
        return 204, b""

    def _POST_connect_dc1_intermediate_generate_internal(self, body: Any) -> tuple[int, Any]:
        self._between = self._authority(body)
        return 200, {"data": {"csr": certs.request(self._between[1], body["uri_sans"]).decode()}}

    def _POST_connect_root_root_sign_intermediate(self, body: Any) -> tuple[int, Any]:
        if not body["use_csr_values"] or body["format"] != "pem_bundle" or "CERTIFICATE REQUEST" not in body["csr"]:
            self.problems.append(f"sign-intermediate: {body}")
        assert self._root is not None
        assert self._between is not None
        signed = certs.cross_sign(self._between[0], *self._root, self._next(), datetime.now(UTC))
        return 200, {"data": {"certificate": (signed + self._root[0]).decode().strip()}}

    def _POST_connect_dc1_intermediate_set_signed(self, body: Any) -> tuple[int, Any]:
        assert self._between is not None
        first = body["certificate"].split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        self._between = (first.encode(), self._between[1])
        return 200, {"data": {"imported_issuers": ["issuer-1"]}}

    def _POST_connect_dc1_config_issuers(self, body: Any) -> tuple[int, Any]:
        if body != {"default": "issuer-1"}:
            self.problems.append(f"issuers: {body}")
        return 200, {"data": {}}

    def _POST_connect_dc1_sign_leaf_cert(self, body: Any) -> tuple[int, Any]:
        assert self._between is not None
        life = timedelta(seconds=int(body["ttl"].removesuffix("s")))
        request = body["csr"].encode()
        uri = certs.requested_uri(request)
        leaf = certs.service_leaf(request, *self._between, self._next(), datetime.now(UTC), life, uri)
        return 200, {"data": {"certificate": leaf.decode().strip()}}

    def _POST_connect_dc1_roles_meshagent_agent_cert(self, body: Any) -> tuple[int, Any]:
        if body["use_csr_sans"] is not False or body["use_csr_common_name"] is not False:
            self.problems.append(f"role: {body}")
        return self._POST_connect_dc1_roles_leaf_cert(body)

    def _POST_connect_dc1_sign_meshagent_agent_cert(self, body: Any) -> tuple[int, Any]:
        assert self._between is not None
        life = timedelta(seconds=int(body["ttl"].removesuffix("s")))
        names = [one for key in ("alt_names", "ip_sans") for one in body[key].split(",") if one]
        leaf = certs.service_leaf(
            body["csr"].encode(), *self._between, self._next(), datetime.now(UTC), life, body["uri_sans"], names
        )
        return 200, {"data": {"certificate": leaf.decode().strip()}}

    def _POST_connect_root_root_sign_self_issued(self, body: Any) -> tuple[int, Any]:
        assert self._root is not None
        crossed = certs.cross_sign(body["certificate"].encode(), *self._root, self._next(), datetime.now(UTC))
        return 200, {"data": {"certificate": crossed.decode().strip()}}

    def _GET_auth_token_lookup_self(self, _: Any) -> tuple[int, Any]:
        return 200, {"data": {"renewable": True, "ttl": 3600}}

    def _POST_auth_token_renew_self(self, body: Any) -> tuple[int, Any]:
        return 200, {"auth": {"client_token": "good"}}
