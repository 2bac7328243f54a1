"""A whole cluster in one process under a virtual clock, from one seed."""
