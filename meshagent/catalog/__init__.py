"""The replicated truth: what is registered, indexed, watched. Knows nothing of HTTP, DNS or proxies."""
