"""The real engine on a simulated broker in virtual time: thousands of schedules, each from one seed."""
