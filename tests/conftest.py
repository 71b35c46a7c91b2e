"""For every test."""

import os

from hypothesis import HealthCheck, settings

# Keras reads this when it is imported, wherever that happens first.
os.environ["KERAS_BACKEND"] = "torch"

# A property holds or not; how long an example takes on a busy machine says nothing.
settings.register_profile("denge", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("denge")
