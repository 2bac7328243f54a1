"""I/O edge: the authorization-code flow of OpenID Connect for a person at a terminal.

Source: RFC 8252 (native apps: loopback redirect), RFC 7636 (PKCE), OpenID Connect Core 1.0 section 3.1. The agent makes
the address with its challenge and redeems the code; here is only the browser, the redirect, and the nonce that binds
both. What may change here: what the page says.
"""

from __future__ import annotations

import http.server
import json
import os
import webbrowser
from typing import Any
from urllib.parse import parse_qs, urlsplit

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.output import fail, say

__all__ = ["oidc_login"]

#: How long a person may take.
WAIT_S = 300.0
#: Connections that bring no redirect (a browser asks for icons, a scanner for anything) before this gives up.
MAX_STRAYS = 32
PATH = "/oidc/callback"
_PAGE = b"<!doctype html><title>meshagent</title><p>You are logged in. This window can be closed."
_REFUSED = b"<!doctype html><title>meshagent</title><p>The login has failed: the terminal says why."


class _Redirect(http.server.BaseHTTPRequestHandler):
    """Takes the redirect of the issuer."""

    server: _Waiting

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path != PATH:
            self.send_error(404)
            return
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        good = query.get("state") == self.server.state and "code" in query
        if query.get("state") == self.server.state:
            self.server.found = query
        page = _PAGE if good else _REFUSED
        self.send_response(200 if good else 400)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:
        """The code in the address is a secret."""


class _Waiting(http.server.HTTPServer):
    state = ""
    found: dict[str, str] | None = None


def oidc_login(client: Client, method: str, listen: str, *, browser: bool) -> dict[str, Any]:
    """Log in with a browser; the token. Raises ClickException."""
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or not host:
        raise fail(f"-oidc-callback-listen-addr {listen!r} is not host:port")
    try:
        server = _Waiting((host.strip("[]"), int(port)), _Redirect)
    except OSError as error:
        raise fail(f"Cannot listen on {listen} for the redirect: {error.strerror}") from None
    with server:
        redirect = f"http://{host}:{server.server_address[1]}{PATH}"
        nonce = os.urandom(24).hex()
        asked = {"AuthMethod": method, "RedirectURI": redirect, "ClientNonce": nonce}
        address = _post(client, "acl/oidc/auth-url", asked)["AuthURL"]
        server.state = parse_qs(urlsplit(address).query).get("state", [""])[0]
        say(f"Complete the login in your browser:\n\n    {address}\n")
        if browser:
            webbrowser.open(address)
        server.timeout = WAIT_S
        for _ in range(MAX_STRAYS):
            if server.found is not None:
                break
            server.handle_request()
        found = server.found
    if found is None:
        raise fail("No redirect came from the issuer in time")
    if "code" not in found:
        raise fail(f"The issuer refused: {found.get('error', '')} {found.get('error_description', '')}".rstrip())
    return _post(client, "acl/oidc/callback", {**asked, "State": found["state"], "Code": found["code"]})


def _post(client: Client, path: str, body: dict[str, str]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = client.request("POST", path, body=json.dumps(body).encode()).json()
    except ApiError as error:
        raise fail(f"Error logging in: {error}") from None
    return found
