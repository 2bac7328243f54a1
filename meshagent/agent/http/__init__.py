"""The HTTP API: one table of endpoints, and the server that serves bytes from it."""

from meshagent.agent.http.server_half import prepare

prepare()  # before a module of this package imports anything of aiohttp
