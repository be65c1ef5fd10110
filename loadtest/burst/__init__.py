"""Hundreds of requests at the same moment."""
