"""peerway keeps the kernel's routing table and WireGuard's AllowedIPs in step, in both directions."""

__version__ = "0.1.0"
