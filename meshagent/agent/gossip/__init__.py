"""Gossip: SWIM with Lifeguard on the memberlist wire, and serf on top of it; see README.md for the map."""
