"""Do the graphs compute what the network computes? Measured before anything is published, and recorded."""
