"""What a server offers to dataplanes over gRPC: bootstrap, servers, login, certificates, names."""
