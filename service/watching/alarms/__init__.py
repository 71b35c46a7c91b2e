"""Alarms: what they say, who is told, and how the traffic was meanwhile."""
