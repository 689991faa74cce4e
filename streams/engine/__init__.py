"""Consumer, offsets and transactions: exactly once, whatever a stage does. Read engine, partition, in_hand."""
