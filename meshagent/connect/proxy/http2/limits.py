"""What an HTTP/2 peer may do and how much is kept for it: SETTINGS, windows, floods. Values and the engine's options.

Source: RFC 9113 sections 5.2, 6.5.2 and 10.5; CVE-2023-44487 (rapid reset), CVE-2024-27316 and VU#421644 (CONTINUATION
floods); Envoy's defaults. What may change here: numbers, each with its reason.
"""

from __future__ import annotations

from ngh2 import Configuration, Setting

__all__ = [
    "API_SETTINGS",
    "CLIENT_SETTINGS",
    "CONFIGURATION",
    "CONNECTION_HIGH_BYTES",
    "CONNECTION_WINDOW_BYTES",
    "HANDSHAKE_S",
    "LOW_BYTES",
    "MAX_FRAME_BYTES",
    "MAX_STREAMS",
    "SERVER_SETTINGS",
    "STREAM_HIGH_BYTES",
    "STREAM_WINDOW_BYTES",
]

#: Requests of one connection at a time (Envoy 1.40: 1024).
MAX_STREAMS = 1000
#: What a peer may send before it was taken: of one stream (as much as the layer 4 pump holds), of all of a connection.
#: The second is so much larger because streams that wait for slow readers share it with those that do not.
STREAM_WINDOW_BYTES = 256 * 1024
CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024
#: The largest frame a peer may send: the initial value, which every peer uses.
MAX_FRAME_BYTES = 16 * 1024
#: What may wait to be sent before the other side is not read any more: for one stream, for all of a connection. It is
#: read again below the third.
STREAM_HIGH_BYTES = 256 * 1024
CONNECTION_HIGH_BYTES = 4 * 1024 * 1024
LOW_BYTES = 64 * 1024
#: The preface and the first SETTINGS must have come after so many seconds.
HANDSHAKE_S = 10.0

_HEADER_LIST_BYTES = 64 * 1024

CONFIGURATION = Configuration(
    auto_window_update=False,
    peer_max_concurrent_streams=100,
    max_send_header_block_length=256 * 1024,
    # A queue of answers to PING and SETTINGS that the peer does not read.
    max_outbound_ack=1_000,
    # A client that cancels all it asks for, beyond a burst. More than nghttp2's 33 a second, because the requests of
    # many clients with short deadlines share a connection between sidecars; 1,000 cost a tenth of a core.
    stream_reset_rate_limit=(2_000, 1_000),
    # 64 KiB of headers fit into four frames.
    max_continuations=8,
    # Frames that are legal one by one and make no sense in numbers.
    glitch_rate_limit=(10_000, 330),
    max_inbound_header_list_size=_HEADER_LIST_BYTES,
    max_inbound_header_count=256,
)

SERVER_SETTINGS: dict[int, int] = {
    Setting.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
    Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
    Setting.MAX_HEADER_LIST_SIZE: _HEADER_LIST_BYTES,
    Setting.ENABLE_CONNECT_PROTOCOL: 1,
    Setting.NO_RFC7540_PRIORITIES: 1,
}
#: The agent's API: no tunnels, and as many requests of one connection at a time as Go's server takes, and so Consul.
API_SETTINGS: dict[int, int] = {
    Setting.MAX_CONCURRENT_STREAMS: 250,
    Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
    Setting.MAX_HEADER_LIST_SIZE: _HEADER_LIST_BYTES,
    Setting.NO_RFC7540_PRIORITIES: 1,
}
CLIENT_SETTINGS: dict[int, int] = {
    Setting.ENABLE_PUSH: 0,
    Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
    Setting.MAX_HEADER_LIST_SIZE: _HEADER_LIST_BYTES,
}
