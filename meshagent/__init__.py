"""meshagent: service discovery and a service mesh in one daemon, compatible with Consul.

The rooms: `agent` (the daemon), `catalog` (the replicated truth), `connect` (the mesh), `dns` (names).
The modules beside them are the vocabulary that all rooms share.
"""

__version__ = "0.1.0"

#: The Consul release whose API this one speaks. Clients (Nomad, consul-k8s) parse it and want >= 1.8.
CONSUL_VERSION = "1.20.1"
