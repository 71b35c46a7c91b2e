"""Networks of other programs -> bundles."""
