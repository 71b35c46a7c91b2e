"""The machine and the process: cores, memory, thread priority, credentials, lifecycle."""
