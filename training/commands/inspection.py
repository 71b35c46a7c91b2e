"""The command `inspect`: what a bundle, a repository or an ONNX file has in it."""

# ruff: noqa: PLC0415

from training.output import Output


def inspect(path: str, *, json: bool = False) -> None:
    """Show the normalisation layers of a bundle or an ONNX file: their statistics, and what they are folded into.

    Args:
        path: Folder or URL of a bundle, of a model or of a repository; or ONNX file.
        json: Print JSON: the manifest of a bundle, the layers of a file, or the bundles in a folder.
    """
    from training.inspection import find

    found = find(path)
    Output(as_json=json).result(found.to_text(), found.to_json())
