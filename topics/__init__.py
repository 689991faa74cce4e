"""What travels on Kafka: the catalog of topics, the message types, their codecs and schemas. No I/O."""
