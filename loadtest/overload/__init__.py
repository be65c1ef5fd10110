"""Twice what can be done: what is answered, how, and how fast it recovers."""
