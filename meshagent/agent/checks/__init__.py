"""Health checks: a table of types, one module each, and the scheduler that runs them."""
