"""What is claimed for batch normalisation, measured: one experiment a file."""
