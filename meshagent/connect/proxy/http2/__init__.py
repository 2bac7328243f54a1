"""HTTP/2 of the built-in proxy: codecs of both sides. No I/O."""
