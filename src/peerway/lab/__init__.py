"""Laboratories in private network namespaces, for `peerway demo` and the tests. They need root and leave no trace."""
