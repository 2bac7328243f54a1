"""Real servers, real sockets, real faults: what tests/chaos and bench/cluster.py run clusters with."""
