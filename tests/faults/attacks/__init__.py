"""What clients do to a service that they mean to stop, a kind a module."""
