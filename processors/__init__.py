"""What is decided, and by which means. No Kafka; clock, randomness and models are arguments."""
