"""Observes a sample of the traffic, judges drift, and publishes alarms."""
