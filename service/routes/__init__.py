"""One router a subject, thin: decode, delegate, encode."""
