"""How it runs: consumers, offsets, transactions, stages, the command line, metrics."""
