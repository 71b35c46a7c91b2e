"""What is loaded, and which version answers."""
