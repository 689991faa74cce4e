"""Mini and flagship agents: from an Escalation to a Resolution, with bounded turns, time, tokens and money."""
