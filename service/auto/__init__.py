"""`auto` mode: what is observed of a model's versions, and the steps that follow, taken by one replica at a time."""
