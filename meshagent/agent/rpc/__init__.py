"""What clients ask of servers over the RPC port, and how a client answers from what it was told (README.md)."""
