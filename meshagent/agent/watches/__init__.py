"""Watches: something is run or called when an answer of the API changes."""
