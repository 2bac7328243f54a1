"""Arguments of `builtin/otel-access-logging`."""

from meshagent.catalog.entries.extensions.arguments import read
from meshagent.catalog.entries.extensions.otel_access_logging import OtelAccessLogging

GOOD = {"GrpcService": {"Target": {"URI": "localhost:4317"}}}


def test_what_is_wrong() -> None:
    assert read({"Config": GOOD | {"BufferSizeBytes": 0}}, OtelAccessLogging).problems() == []
    assert read({"ListenerType": "x"}, OtelAccessLogging).problems() == [
        'unexpected ListenerType "x"',
        "missing GrpcService",
    ]
    config = GOOD | {"BufferFlushInterval": "x", "BufferSizeBytes": -1}
    assert read({"Config": config}, OtelAccessLogging).problems() == [
        'BufferFlushInterval: "x" is not a duration',
        "BufferSizeBytes must be between 0 and 4294967295",
    ]
