"""`sluice eval`: labelled messages through the real pipeline, scored."""
