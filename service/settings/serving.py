"""Settings of what is served."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from models.errors import InvalidInput
from models.repository.location import parse_location
from service.settings.kinds import Folder, NamedPath, require_folder


def _parse_repository(value: object) -> Path | str:
    if not isinstance(value, Path | str):  # a number in the file of settings
        raise ValueError("expected a folder or a URL")  # noqa: TRY004 - pydantic reports no TypeError
    try:
        return parse_location(value)
    except InvalidInput as error:
        raise ValueError(str(error).removeprefix("repository: ")) from error


Location = Annotated[Path | str, BeforeValidator(_parse_repository), AfterValidator(require_folder)]


class Serving(BaseModel, defer_build=True):
    """The repository, the models in it, and which of their versions are loaded."""

    repository: Location = Field(
        Path("repository"),
        description="Folder of the models, as <repository>/<model>/<version>/, or URL of a bucket: s3://bucket/prefix, "
        "gs://bucket/prefix or az://container/prefix. Credentials, region and endpoint come from the variables of the "
        "storage, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.",
    )
    cache_dir: Folder | None = Field(
        None, description="Folder for what is downloaded from a bucket. If absent, <state_dir>/cache."
    )
    cache_mib: int = Field(
        10240,
        gt=0,
        description="Most disk space for what is downloaded from a bucket, in MiB. The least recently used "
        "versions are deleted.",
    )
    model_path: NamedPath | None = Field(
        None,
        description="One model to serve: a bundle, a model's folder of versions, an ONNX file, or a folder with one. "
        "It is only read, and copied into the repository at the start. No starter models then.",
    )
    model_name: str | None = Field(None, description="Name of the model of model_path.")
    starters: bool = Field(True, description="Copy the starter models into an empty repository.")
    guide_dir: Folder | None = Field(
        None, description="Folder of the built documentation, for /guide: `make docs` writes build/site."
    )
    loaded_versions: int = Field(
        2, ge=1, description="Number of newest versions of each model to keep loaded, besides the default version."
    )

    @model_validator(mode="after")
    def _require_path_and_name(self) -> Self:
        if (self.model_path is None) != (self.model_name is None):
            raise ValueError("model_path and model_name come together")
        return self

    @property
    def cache_bytes(self) -> int:
        """Most disk space for what is downloaded from a bucket, in bytes."""
        return self.cache_mib << 20
