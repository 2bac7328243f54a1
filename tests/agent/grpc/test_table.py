from __future__ import annotations

import subprocess
import sys


def test_an_agent_that_only_listens_loads_neither_http2_nor_protobuf() -> None:
    code = (
        "import sys; import meshagent.agent.grpc.listeners, meshagent.agent.grpc.table;"
        "print([name for name in ('h2', 'google.protobuf', 'envoy', 'cryptography') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
