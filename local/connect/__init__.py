"""A real Kafka Connect on this machine, and the demonstration that nothing is lost or doubled through it."""
