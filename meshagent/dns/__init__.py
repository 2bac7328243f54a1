"""The names: questions in, records out."""
