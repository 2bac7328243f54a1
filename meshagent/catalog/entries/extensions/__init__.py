"""Arguments of Envoy extensions: one module a type, a row each in `table.py`; connect/envoy/extensions applies them."""
