"""Who hears of alerts besides the topic. No Kafka in here."""
