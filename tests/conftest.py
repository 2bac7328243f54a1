"""For all tests: no test fails because the machine is busy, so generated examples have no deadline either.

The suite is spread over workers file by file (`--dist loadfile`): tests of a file share agents, and what one of them
registers another may look for.

grpcio's handlers of fork are off: they abort a child that is forked while channels are open, before it can exec.
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
