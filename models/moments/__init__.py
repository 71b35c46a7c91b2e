"""Mergeable moments: (count, mean, m2) per channel, and over windows of rows."""
