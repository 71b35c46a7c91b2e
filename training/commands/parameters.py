"""Parameters that several commands have, with their help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Target = Annotated[str, Parameter(help="Folder to publish into, or URL of a bucket, such as s3://bucket/prefix.")]
NameOfNetwork = Annotated[str, Parameter(help="Name of the model in the repository. The network's name if empty.")]
HalfWeights = Annotated[
    bool, Parameter(help="Store the weights in half precision, if that does not change the answers.")
]
WatchImage = Annotated[
    bool,
    Parameter(help="Watch the pixels of an image too, for shifts of geometry and sharpness. Takes reference rows."),
]
WatchMargin = Annotated[bool, Parameter(help="Watch how sure the network is of its class too. Takes reference rows.")]
PublishedJson = Annotated[
    bool,
    Parameter(
        help="Print one JSON object, with the path of the version and its manifest, and the rest on the standard error."
    ),
]

DataSetFolder = Annotated[Path | None, Parameter(help='Folder with the files of "mnist" or "rt-polarity".')]
Force = Annotated[bool, Parameter(help="Publish although a gate did not pass. The manifest records it.")]
CandidateJson = Annotated[
    bool,
    Parameter(
        help="Print one JSON object, with the manifest, and the rest on the standard error. Its version is null where "
        "a gate did not pass."
    ),
]
