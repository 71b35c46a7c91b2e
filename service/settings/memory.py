"""Settings of how much memory requests may take."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

from service.settings.kinds import Mebibytes


class Memory(BaseModel, defer_build=True):
    """Most memory for bodies, for decoding them, for images and for collected rows."""

    max_body_mib: Mebibytes = Field(64, description="Largest request body, in MiB.")
    max_bodies_mib: int | None = Field(
        None,
        gt=0,
        description="Most memory for the bodies of all requests in flight, in MiB. Further ones are refused with 503, "
        "and so are those of a client that has as much as is left for others. If absent, 8 times max_body_mib.",
    )
    codec_mib: Mebibytes = Field(
        256,
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
        if self.max_bodies_mib is not None and self.max_bodies_mib < 2 * self.max_body_mib:
            raise ValueError("max_bodies_mib: a client may use half of it, so it is at least twice max_body_mib")
        return self

    @property
    def max_body_bytes(self) -> int:
        """Largest request body, in bytes."""
        return self.max_body_mib << 20

    @property
    def max_bodies_bytes(self) -> int:
        """Most memory for the bodies of all requests in flight, in bytes."""
        return (8 * self.max_body_mib if self.max_bodies_mib is None else self.max_bodies_mib) << 20

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
