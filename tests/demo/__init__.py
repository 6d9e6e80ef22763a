"""The demo merchant and the sandbox provider, on real sockets."""
