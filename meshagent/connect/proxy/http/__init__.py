"""Layer 7 of the built-in proxy: requests instead of bytes. No I/O but in the modules that say so."""
