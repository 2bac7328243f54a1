from __future__ import annotations

import ngh2

from meshagent.connect.proxy.http2 import limits


def test_the_engine_takes_them() -> None:
    for role in ngh2.Role:
        ngh2.Connection(role, limits.CONFIGURATION)


def test_a_stream_cannot_take_the_window_of_all() -> None:
    assert limits.STREAM_WINDOW_BYTES * 8 <= limits.CONNECTION_WINDOW_BYTES < 2**31
    assert limits.LOW_BYTES < limits.STREAM_HIGH_BYTES < limits.CONNECTION_HIGH_BYTES


def test_headers_fit_into_the_frames_that_are_taken() -> None:
    size = limits.SERVER_SETTINGS[ngh2.Setting.MAX_HEADER_LIST_SIZE]
    assert limits.CONFIGURATION.max_inbound_header_list_size == size
    assert size <= (1 + limits.CONFIGURATION.max_continuations) * limits.MAX_FRAME_BYTES
