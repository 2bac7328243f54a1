"""HTTP/1.1 without I/O: bytes to streams and back, strict in what is taken, one way of writing in what is sent."""
