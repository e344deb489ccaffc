"""Stand-ins for what the service needs from outside: one file for each, in memory, without surprises."""
