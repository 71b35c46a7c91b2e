"""How requests to the model are batched."""

from pydantic import Field

from models.manifest.record import Record


class Batching(Record):
    """How requests to this model are batched. The service's settings hold for fields that are absent."""

    max_batch_rows: int | None = Field(
        default=None, ge=1, le=1 << 16, description="most rows of a batch; 1 disables batching"
    )
    batch_wait_ms: float | None = Field(
        default=None, ge=0, le=60_000, description="how long a batch that is not full waits for more requests"
    )
    inline_ms: float | None = Field(
        default=None,
        ge=0,
        le=60_000,
        description="runs that are expected to be shorter start at once, without batching",
    )
