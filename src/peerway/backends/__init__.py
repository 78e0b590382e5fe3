"""The edge: the only place that opens a socket to the kernel or to a userspace WireGuard."""
