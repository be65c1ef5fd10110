"""Deadlines at three quarters of saturation, with the champion frozen and without."""
