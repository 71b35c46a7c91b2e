"""Settings of how much memory requests may take."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from service.host.memory_limit import read_memory_limit
from service.settings.kinds import Mebibytes


def _default_max_bodies_mib(settings: Mapping[str, Any]) -> int:
    """8 times max_body_mib; in a container at most a quarter of its memory, but twice max_body_mib at least"""  # noqa: D415 - shown as the default of the setting
    max_body_mib: int = settings.get("max_body_mib", 1)
    return max(2 * max_body_mib, min(8 * max_body_mib, _share_mib(settings, 4)))


def _default_codec_mib(settings: Mapping[str, Any]) -> int:
    """256; in a container at most an eighth of its memory"""  # noqa: D415 - shown as the default of the setting
    return max(1, min(256, _share_mib(settings, 8)))


def _share_mib(settings: Mapping[str, Any], parts: int) -> int:
    """One of so many parts of the memory that each worker may use, in MiB; more than any setting without a limit."""
    limit = read_memory_limit()
    workers: int = settings.get("workers", 1)
    return 1 << 30 if limit is None else (limit >> 20) // (parts * workers)


class Memory(BaseModel, defer_build=True):
    """Most memory for bodies, for decoding them, for images and for collected rows."""

    max_body_mib: Mebibytes = Field(64, description="Largest request body, in MiB.")
    max_bodies_mib: int = Field(
        default_factory=_default_max_bodies_mib,
        gt=0,
        description="Most memory for the bodies of all requests in flight, in MiB. Further ones are refused with 503, "
        "and so are those of a client that has as much as is left for others.",
    )
    codec_mib: Mebibytes = Field(
        default_factory=_default_codec_mib,
        description="Most memory for decoding large bodies and images and encoding large responses at the same time, "
        "in MiB. What does not fit waits; 503 when too many wait.",
    )
    max_image_megapixels: float = Field(
        32.0, gt=0, description="Largest image, in millions of pixels, and all images of one request together."
    )
    max_collected_mib: Mebibytes = Field(
        64, description="Most memory for the rows collected by one re-calibration, in MiB."
    )

    @model_validator(mode="after")
    def _require_room_for_a_body(self) -> Self:
        if self.max_bodies_mib < 2 * self.max_body_mib:
            raise ValueError("max_bodies_mib: a client may use half of it, so it is at least twice max_body_mib")
        return self

    @property
    def max_body_bytes(self) -> int:
        """Largest request body, in bytes."""
        return self.max_body_mib << 20

    @property
    def max_bodies_bytes(self) -> int:
        """Most memory for the bodies of all requests in flight, in bytes."""
        return self.max_bodies_mib << 20

    @property
    def codec_bytes(self) -> int:
        """Most memory for decoding and encoding what is large, in bytes."""
        return self.codec_mib << 20

    @property
    def max_collected_bytes(self) -> int:
        """Most memory for collected rows, in bytes."""
        return self.max_collected_mib << 20

    @property
    def max_image_pixels(self) -> int:
        """Largest image, in pixels."""
        return int(self.max_image_megapixels * 1e6)
