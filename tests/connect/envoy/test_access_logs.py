"""Access logs; the recorded resources hold formats and the usual sinks."""

from __future__ import annotations

from meshagent.catalog.model import AccessLogs
from meshagent.connect.envoy.access_logs import filter_logs, listener_logs


def test_none_without_being_turned_on() -> None:
    assert filter_logs(None) == listener_logs(None) == filter_logs(AccessLogs()) == []
    assert listener_logs(AccessLogs(enabled=True, disable_listener_logs=True)) == []


def test_a_file_with_a_text() -> None:
    (log,) = filter_logs(AccessLogs(enabled=True, type="file", path="/var/log/x", text_format="%DURATION%"))
    assert log["typed_config"] == {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": "/var/log/x",
        "log_format": {"text_format_source": {"inline_string": "%DURATION%\n"}},
    }
