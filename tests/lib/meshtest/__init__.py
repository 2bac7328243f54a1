"""The test kit: factories, golden data, real processes."""
