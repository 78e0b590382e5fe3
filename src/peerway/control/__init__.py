"""The daemon's API on its unix socket, and the client that the command line uses."""
