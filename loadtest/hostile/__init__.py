"""Records that nobody should write, poured on a running endpoint."""
