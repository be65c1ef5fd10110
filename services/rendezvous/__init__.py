"""Rendezvous: every model scores every request, and the best answer arrives by the deadline."""
