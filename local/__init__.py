"""What stands in for the outside on one machine: a real Kafka from its jars, a simulated provider, sample streams."""
