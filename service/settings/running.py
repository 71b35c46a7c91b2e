"""Settings of how models run."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from service.host import cores


def _default_concurrency(settings: Mapping[str, Any]) -> int:
    """the number of usable CPU cores; 2 on a GPU"""  # noqa: D403, D415 - shown as the default of the setting
    return 2 if settings.get("provider") == "cuda" else cores.count_usable()


def _default_inline_ms(settings: Mapping[str, Any]) -> float:
    """1.0; 0.5 on a GPU"""  # noqa: D415 - shown as the default of the setting
    return 0.5 if settings.get("provider") == "cuda" else 1.0  # where other requests can be read while it computes


class Running(BaseModel, defer_build=True):
    """Processes, threads, queues and batches, and how long a version may take to load and to run."""

    provider: Literal["cpu", "cuda"] = Field(
        "cpu", description="Execution provider that runs the models. The service does not start if it is not available."
    )
    precision: Literal["float32", "tf32", "float16"] = Field(
        "float32",
        description="What a GPU computes with: `tf32` rounds the factors of products, `float16` everything. A model "
        "whose answers change by that is served in float32.",
    )
    workers: int = Field(
        1, ge=1, le=128, description="Replicas on the one port, each a process. One more process keeps them running."
    )
    threads: int = Field(1, ge=1, description="Threads within one run of a model.")
    concurrency: int = Field(
        default_factory=_default_concurrency,
        ge=1,
        description="Runs at the same time. On a GPU, one runs while the next one is made ready.",
    )
    max_pending: int = Field(
        256, ge=1, description="Predictions waiting or running at the same time. Further ones are refused with 503."
    )
    max_batch_rows: int = Field(
        32, ge=1, description="Most rows of one batch. Waiting requests are combined up to it; 1 combines none."
    )
    batch_wait_ms: float = Field(
        0.0, ge=0, description="How long a batch that is not full waits for more requests while another one runs."
    )
    inline_ms: float = Field(
        default_factory=_default_inline_ms,
        ge=0,
        description="Runs expected to be shorter start at once, without batching and without a thread.",
    )
    load_seconds: float = Field(
        60.0,
        ge=0,
        description="How long a new version may take to load, in a process of its own, before the service loads it. "
        "0 loads it without this trial.",
    )
    load_mib: int = Field(8192, ge=256, description="Most memory that a new version may take in its trial, in MiB.")
    run_seconds: float = Field(60.0, gt=0, description="How long a run of a model may take before it is ended.")
    nan: Literal["refuse", "accept"] = Field(
        "refuse", description="Whether NaN and infinities in the inputs of a model are refused with 400 or accepted."
    )

    @model_validator(mode="after")
    def _require_gpu(self) -> Self:
        if self.precision != "float32" and self.provider == "cpu":
            raise ValueError(f"precision: {self.precision} needs a GPU, and provider is cpu: set it to cuda")
        return self

    @property
    def change_seconds(self) -> float:
        """How long a request waits for a change of what is served: for the trial of a new version, and for disks."""
        return self.load_seconds + 60.0

    @property
    def max_load_bytes(self) -> int:
        """Most memory for the trial of a version, in bytes."""
        return self.load_mib << 20

    @property
    def finite(self) -> bool:
        """Whether NaN and infinities are refused."""
        return self.nan == "refuse"
