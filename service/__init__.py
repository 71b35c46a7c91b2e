"""Serves bundles over HTTP. The first import of any of its modules sets what libraries read when they are imported.

OpenBLAS, which numpy brings, has a thread for each core of the machine, whatever the quota of the container. Each is
busy for a while even where there is nothing to do: on 16 cores, importing numpy takes 2.3 s of processor time in place
of 0.3. Nothing here multiplies large matrices; the threads of models are onnxruntime's.

gRPC prepares for a fork, which no process here does without starting another program. Where it cannot, since calls are
running, it would write a line of its own between those of the log, as it does of headers that are too large.

pydantic would look for plugins in the metadata of all installed packages, which takes a while, and run what it finds.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
