"""Re-calibration as jobs of the service."""
