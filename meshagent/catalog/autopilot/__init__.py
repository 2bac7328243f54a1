"""Autopilot: the leader's care for the servers: who is healthy, who may vote, who is removed."""
