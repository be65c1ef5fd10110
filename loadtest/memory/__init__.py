"""What a request in flight takes, and how long services take from their start to ready."""
