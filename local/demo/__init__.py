"""The demonstration: the whole pipeline on this machine, models simulated."""
