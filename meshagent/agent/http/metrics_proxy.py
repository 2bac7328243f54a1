"""I/O edge: the metrics server behind the web page, asked in its name (`ui_config.metrics_proxy`).

    GET /v1/internal/ui/metrics-proxy/api/v1/query?query=up  ->  GET <base_url>/api/v1/query?query=up

Only paths of the allowlist are asked, with the headers of the configuration and none of the caller's but Accept: tokens
and cookies stay here. No redirect is followed, an answer is bounded, and it comes as data (`nosniff`, no script runs
from it).

Source: surface rows IN5, G25; developer.hashicorp.com/consul/docs/agent/config/config-files#ui_config_metrics_proxy.
What may change here: bounds.
"""

from __future__ import annotations

import logging
import posixpath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus, urlsplit

from meshagent.agent.http.response import Response
from meshagent.errors import BadRequest

if TYPE_CHECKING:
    from meshagent.agent.config.serving import UIConfig
    from meshagent.agent.core import Agent
    from meshagent.agent.http.request import Request

__all__ = ["allowed_paths", "metrics_proxy", "target"]

log = logging.getLogger("agent.http")

TIMEOUT_S = 30.0
#: Prometheus answers a month of one series in some 2 MB.
MAX_BYTES = 32 << 20
#: What the page asks of Prometheus.
PROMETHEUS_PATHS = ("/api/v1/query_range", "/api/v1/query")
_GUARDS = (
    ("Content-Security-Policy", "default-src 'none'; sandbox"),
    ("X-Content-Type-Options", "nosniff"),
)


def allowed_paths(config: UIConfig) -> tuple[str, ...]:
    """The paths that may be asked, with that of `base_url` before them; none: all may."""
    listed = config.metrics_proxy.path_allowlist
    if listed or config.metrics_provider != "prometheus":
        return listed
    prefix = urlsplit(config.metrics_proxy.base_url).path.rstrip("/")
    return tuple(prefix + path for path in PROMETHEUS_PATHS)


def target(config: UIConfig, name: str, query: str) -> str | None:
    """The address to ask for what follows the endpoint's path (decoded); None: the allowlist refuses it.

    Raises:
        BadRequest: it leads out of `base_url`.
    """
    base = config.metrics_proxy.base_url.rstrip("/")
    parts = urlsplit(base)
    path = posixpath.normpath(f"{parts.path}/{name}") if name else parts.path or "/"
    path = "/" + path.lstrip("/")
    if not (path + "/").startswith(parts.path.rstrip("/") + "/"):
        raise BadRequest("Invalid path.")
    allowed = allowed_paths(config)
    if allowed and path not in allowed:
        return None
    return f"{parts.scheme}://{parts.netloc}{quote(path)}" + (f"?{query}" if query else "")


async def metrics_proxy(agent: Agent, request: Request) -> Response:
    """The metrics server's answer, of whatever status; 502 where there is none."""
    config = agent.config.ui_config
    if not config.enabled and not config.dir:
        return Response(404, b"UI is not enabled")
    if not config.metrics_proxy.base_url:
        return Response(404, b"Metrics proxy is not enabled")
    address = target(config, request.name, _without_token(request.query.raw))
    if address is None:
        log.warning("metrics proxy: path not allowed: path=%r", request.name)
        return Response(403, b"Path is not allowed by ui_config.metrics_proxy.path_allowlist")
    headers = {"Accept": request.headers.get("Accept") or "*/*"}
    headers |= {one.name: one.value for one in config.metrics_proxy.add_headers if one.name}
    return await _fetch(address, headers)


def _without_token(query: str) -> str:
    """The parameters, as they came, but for the caller's own token."""
    kept = (one for one in query.split("&") if unquote_plus(one.partition("=")[0]).lower() != "token")
    return "&".join(kept)


async def _fetch(address: str, headers: dict[str, str]) -> Response:
    import aiohttp  # its client: only where a chart is drawn
    from yarl import URL

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.get(URL(address, encoded=True), headers=headers, allow_redirects=False) as answer,
        ):
            body = bytearray()
            async for piece in answer.content.iter_chunked(1 << 16):
                body += piece
                if len(body) > MAX_BYTES:
                    return Response(502, f"The metrics server answers more than {MAX_BYTES} bytes".encode())
            kind = answer.headers.get("Content-Type", "application/octet-stream")
            return Response(answer.status, bytes(body), _GUARDS, kind)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        log.warning("metrics proxy: no answer: error=%s: %s", type(error).__name__, error)
        return Response(502, b"The metrics server cannot be asked: see the log of the agent")
