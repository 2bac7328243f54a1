"""Config entries: one module for each kind (or pair of kinds), `table.py` joins them."""
