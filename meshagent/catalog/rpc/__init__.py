"""The server RPC port: multiplexed msgpack frames between agents, over TLS when it is configured."""
