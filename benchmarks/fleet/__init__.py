"""Verified traffic to replicas, while they and what they share are killed."""
