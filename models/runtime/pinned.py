"""Page-locked memory, from which a GPU copies by itself."""

import ctypes
import weakref
from contextlib import suppress

import onnxruntime

from models.datatypes import Array


def pin(array: Array) -> Array:
    """The array, with its memory page-locked as long as it exists. As it is, where there is no CUDA."""
    cudart = _cudart()
    if cudart is None or not array.nbytes:
        return array
    address, size = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
    if cudart.cudaHostRegister(address, size, ctypes.c_uint(0)) == 0:
        weakref.finalize(array, cudart.cudaHostUnregister, address)
    return array


def _cudart() -> ctypes.CDLL | None:
    """CUDA's runtime, as onnxruntime has loaded it."""
    version = str(getattr(onnxruntime, "cuda_version", ""))
    with suppress(OSError):
        if version:
            return ctypes.CDLL(f"libcudart.so.{version.split('.', maxsplit=1)[0]}")
    return None
