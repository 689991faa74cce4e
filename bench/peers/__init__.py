"""What is measured beside Sluice: one program a framework, written as its own documentation would have it."""
