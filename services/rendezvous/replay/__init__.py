"""Replay: what the log says was decided, decided again; and what other rules would have answered."""
