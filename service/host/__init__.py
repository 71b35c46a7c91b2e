"""The machine and the process: cores, memory, priorities, secrets."""
