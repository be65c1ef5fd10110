"""What each setting of the Kafka clients does, on the floor."""
