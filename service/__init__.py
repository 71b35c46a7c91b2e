"""Serves bundles over HTTP. The first import of any of its modules limits the threads of numpy's OpenBLAS to one.

OpenBLAS has a thread for each core of the machine, whatever the quota of the container. Each is busy for a while even
where there is nothing to do: on 16 cores, importing numpy takes 2.3 s of processor time in place of 0.3. Nothing here
multiplies large matrices; the threads of models are onnxruntime's.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
