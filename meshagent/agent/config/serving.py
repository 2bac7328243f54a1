"""Options of what this agent serves: DNS, HTTP, cache, UI (surface rows G18, G19 and G25).

Source: developer.hashicorp.com/consul/docs/agent/config/config-files. One row an option.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from meshagent.agent.config.option import Group, duration, group, number, rows, switch, table, text, whole, words
from meshagent.catalog.model import Row

__all__ = ["RPC", "Cache", "DNSConfig", "HTTPConfig", "UIConfig"]


class SOA(Group):
    """Numbers of the zone's SOA record (RFC 1035 section 3.3.13)."""

    refresh: int = whole(3600, "Secondary servers ask again after this.", low=0, unit="s", reload=True)
    retry: int = whole(600, "And after this when that failed.", low=0, unit="s", reload=True)
    expire: int = whole(86_400, "And forget the zone after this.", low=0, unit="s", reload=True)
    min_ttl: int = whole(0, "How long resolvers remember that a name does not exist.", low=0, unit="s", reload=True)


class DNSConfig(Group):
    """Answers over DNS."""

    allow_stale: bool = switch(True, "Any server may answer: faster, and works without a leader.", reload=True)
    max_stale: float = duration(87_600 * 3600.0, "How old such answers may be.", low=0, reload=True)
    node_ttl: float = duration(0.0, "Time to live of node answers: longer is less load and later change.", reload=True)
    service_ttl: Mapping[str, float] = table(
        "Time to live of service answers by name; `*` is for all others, `web*` for names that begin so.",
        durations=True,
        reload=True,
    )
    only_passing: bool = switch(False, "Leave out instances that are in warning.", reload=True)
    a_record_limit: int = whole(0, "Most A or AAAA records in an answer; 0 is as many as fit.", low=0, reload=True)
    udp_answer_limit: int = whole(3, "Most records in an answer over UDP without EDNS.", low=0, reload=True)
    enable_truncate: bool = switch(
        False, "Set TC when records were left out, so that clients ask over TCP.", reload=True
    )
    disable_compression: bool = switch(False, "Send names in full.", reload=True)
    enable_additional_node_meta_txt: bool = switch(True, "Add TXT records of node metadata.", reload=True)
    recursor_strategy: str = text(
        "sequential",
        "Ask `recursors` in order, or a random one first.",
        choices=("sequential", "random"),
        reload=True,
    )
    recursor_timeout: float = duration(2.0, "How long one recursor may take.", low=0, reload=True)
    use_cache: bool = switch(
        False, "Clients answer from what they follow either way; on, `cache_max_age` counts, too.", reload=True
    )
    cache_max_age: float = duration(
        0.0, "How old such an answer may be while no server can be reached; 0 is any.", low=0, reload=True
    )
    soa: SOA = group(SOA, "The SOA record.")


class HTTPConfig(Group):
    """The HTTP API."""

    block_endpoints: tuple[str, ...] = words("Path prefixes that are refused with 403.")
    allow_write_http_from: tuple[str, ...] = words(
        "Networks (CIDR) that may write; others may only read. Empty is all.",
        flags=("-allow-write-http-from",),
        former=("allow_write_http_from",),
    )
    response_headers: Mapping[str, str] = table(
        "Headers of every answer, e.g. Access-Control-Allow-Origin.", former=("http_api_response_headers",), reload=True
    )
    use_cache: bool = switch(True, "Honour `?cached`.")
    max_header_bytes: int = whole(0, "Largest header of a request; 0 is 1 MiB.", low=0, unit="bytes")


class Cache(Group):
    """The agent's cache of answers from servers."""

    entry_fetch_rate: float = number(
        None,
        "What is asked for is followed and not fetched again and again.",
        unit="1/s",
        default_text="no limit",
        inert=True,
    )
    entry_fetch_max_burst: int = whole(2, "See `entry_fetch_rate`.", inert=True)


class RPC(Group):
    """Calls to servers."""

    enable_streaming: bool = switch(True, "Servers: serve change streams.")


class AddHeader(Row, frozen=True, kw_only=True):
    """A header for the metrics provider."""

    go_name: ClassVar[str] = "UIMetricsProxyAddHeader"

    name: str = ""
    value: str = ""


class MetricsProxy(Group):
    """Lets the UI ask a metrics server through this agent."""

    base_url: str = text("", "Where it is; empty is off.", reload=True)
    add_headers: tuple[AddHeader, ...] = rows(AddHeader, "Headers for it, e.g. credentials.", reload=True)
    path_allowlist: tuple[str, ...] = words(
        "Paths that may be asked.", default_text='["/api/v1/query_range", "/api/v1/query"] for prometheus', reload=True
    )


class UIConfig(Group):
    """The web page."""

    enabled: bool = switch(False, "Serve it.", flags=("-ui",), former=("ui",))
    dir: str = text("", "Serve these files in its place.", flags=("-ui-dir",), former=("ui_dir",))
    content_path: str = text("/ui/", "Where it is.", flags=("-ui-content-path",), former=("ui_content_path",))
    metrics_provider: str = text("", "Where charts come from: `prometheus` or one of `metrics_provider_files`.")
    metrics_provider_files: tuple[str, ...] = words("JavaScript files to load.")
    metrics_provider_options_json: str = text("", "Options for it, a JSON object.")
    metrics_proxy: MetricsProxy = group(MetricsProxy, "A proxy to the metrics server.")
    dashboard_url_templates: Mapping[str, str] = table("Links to dashboards; `service` may hold {{Service.Name}}.")
