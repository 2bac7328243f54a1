"""I/O edge: TLS contexts for probes, made once and shared.

Source: surface rows K11, K12, K15, K17 (TLSServerName, TLSSkipVerify) and K20 (`enable_agent_tls_for_checks`: the
agent's certificate is presented and its CA trusted). A context reads the trust store of the host, about 15 ms and
hundreds of kilobytes, so there is one for each combination that is in use, not one a check.

What may be changed here: a check never gets a weaker context than it asked for.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

from meshagent.agent.checks.probe import ProbeFailed

__all__ = ["AgentTls", "TlsContexts", "explain"]

#: OpenSSL's X509_V_ERR_* for "nobody we trust signed this" and for "out of its dates".
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_OUT_OF_DATES = frozenset({9, 10})
_WRONG_NAME = frozenset({62, 64})


@dataclass(frozen=True, slots=True)
class AgentTls:
    """Files of the agent's own certificate, and the name checks expect when they give none."""

    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    ca_path: str = ""
    server_name: str = ""


class TlsContexts:
    """The contexts in use."""

    def __init__(self, agent: AgentTls | None = None) -> None:
        self.agent = agent
        self._contexts: dict[tuple[bool, str], ssl.SSLContext] = {}

    def get(self, *, skip_verify: bool, alpn: str = "") -> ssl.SSLContext:
        """The context for probes that verify or not and speak `alpn` ("" = say nothing).

        Raises:
            ProbeFailed: the agent's certificate files cannot be read.
        """
        key = (skip_verify, alpn)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = self._make(skip_verify, alpn)
        return context

    def server_name(self, wanted: str, host: str) -> str:
        """The name to ask for and to verify."""
        return wanted or (self.agent.server_name if self.agent is not None else "") or host

    def _make(self, skip_verify: bool, alpn: str) -> ssl.SSLContext:
        agent = self.agent
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if skip_verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            elif agent is not None and (agent.ca_file or agent.ca_path):
                context.load_verify_locations(agent.ca_file or None, agent.ca_path or None)
            else:
                context.load_default_certs(ssl.Purpose.SERVER_AUTH)
            if agent is not None and agent.cert_file:
                context.load_cert_chain(agent.cert_file, agent.key_file or None)
        except (OSError, ssl.SSLError) as error:
            raise ProbeFailed(f"cannot load the agent's TLS files: {error}") from error
        if alpn:
            context.set_alpn_protocols([alpn])
        return context


def explain(error: ssl.SSLError, server_name: str) -> str:
    """What went wrong in a handshake, in the words Go's TLS would use where there are such."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code in _UNKNOWN_AUTHORITY:
            why = "certificate signed by unknown authority"
        elif code in _OUT_OF_DATES:
            why = f"certificate has expired or is not yet valid: {error.verify_message}"
        elif code in _WRONG_NAME:
            why = f"certificate is not valid for {server_name}"
        else:
            why = error.verify_message
        return f"tls: failed to verify certificate: x509: {why}"
    reason = error.reason or ""
    if reason in (
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "RECORD_LAYER_FAILURE",
        "UNSUPPORTED_PROTOCOL",
        "BAD_RECORD_TYPE",
    ):
        return "tls: first record does not look like a TLS handshake"
    alert = re.match(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(.*)", reason)
    if alert is not None:
        return f"remote error: tls: {alert[1].replace('_', ' ').lower()}"
    return f"tls: {reason.replace('_', ' ').lower() or error}"
