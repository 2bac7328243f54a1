"""The HTTP API: one table of endpoints, and the server that serves bytes from it."""

from meshagent.agent.http import late_imports
from meshagent.agent.http.server_half import prepare

prepare()  # before a module of this package imports anything of aiohttp
late_imports.prepare()
