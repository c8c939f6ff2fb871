"""A real Kafka broker and a real Flink cluster on this machine's loopback."""
