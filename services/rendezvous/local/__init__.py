"""The local stack: one real Kafka node and one real Redis on loopback, which end with whoever started them.

Keep this file empty of imports: `guard.py` and the command line should not pay for the rest.
"""
