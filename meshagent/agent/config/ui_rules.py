"""What must hold of `ui_config`: the web page, its place, and where its charts come from.

Source: surface row G25; developer.hashicorp.com/consul/docs/agent/config/config-files#ui-parameters. Pure. What may
change here: a rule is a `yield`.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable

from meshagent.agent.config.serving import UIConfig

__all__ = ["ui_findings"]

_LOWER = re.compile(r"[a-z0-9_-]+\Z")
_URL = re.compile(r"https?://[^/\s?#]+", re.IGNORECASE)


def ui_findings(ui: UIConfig) -> Iterable[tuple[str, str]]:
    """(key, problem) of each rule that is broken."""
    if ui.enabled and ui.dir:
        yield (
            "ui_config.dir",
            (
                "Both the ui_config.enabled and ui_config.dir (or -ui and -ui-dir) were specified, "
                "please provide only one."
            ),
        )
    if ui.metrics_provider and not _LOWER.match(ui.metrics_provider):
        yield (
            "ui_config.metrics_provider",
            "ui_config.metrics_provider can only contain lowercase alphanumeric, - or _ characters.",
        )
    if not re.match(r"[a-zA-Z0-9/_-]+\Z", ui.content_path):
        yield "ui_config.content_path", "ui_config.content_path can only contain alphanumeric, -, _, or / characters."
    if ui.metrics_provider_options_json:
        try:
            given = json.loads(ui.metrics_provider_options_json)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            yield (
                "ui_config.metrics_provider_options_json",
                ("ui_config.metrics_provider_options_json must be empty or a string containing a valid JSON object."),
            )
    for place, url in (
        ("metrics_proxy.base_url", ui.metrics_proxy.base_url),
        *(("dashboard_url_templates", url) for url in ui.dashboard_url_templates.values()),
    ):
        if url and not _URL.match(url):
            yield f"ui_config.{place}", f"ui_config.{place} must be a valid http or https URL."
    for at, path in enumerate(ui.metrics_proxy.path_allowlist):
        if not path.startswith("/") or posixpath.normpath(path) != path:
            yield (
                "ui_config.metrics_proxy.path_allowlist",
                f"ui_config.metrics_proxy.path_allowlist[{at}] must be a clean path that begins with /",
            )
    for name in ui.metrics_provider_files:
        if not name.endswith(".js"):
            yield "ui_config.metrics_provider_files", f"ui_config.metrics_provider_files: {name} must end in .js"
