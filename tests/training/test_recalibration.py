"""`python -m training recalibrate`, from files to the next version."""

from pathlib import Path

import numpy as np
import pytest

from models import starter
from models.errors import InvalidInput
from models.recalibration.rows import MAX_ROWS_TO_LABEL, UNKNOWN
from models.repository.repository import Repository
from models.version import PROGRAM
from tests.bundles import image_bundle
from training import recalibration
from training.__main__ import main
from training.data import digits
from training.recalibration import Parent


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(tmp_path)
    repository = Repository(tmp_path / "repository")
    starter.seed(repository)
    return repository


def framed() -> tuple[np.ndarray, np.ndarray]:
    """Digits of another data set, as large in their frame as those of MNIST: uint8 images and labels."""
    data = digits.load()
    images = np.concatenate([data.train_images, data.test_images])[:, 0, ::2, ::2]
    return np.pad(images, ((0, 0), (7, 7), (7, 7))), np.concatenate([data.train_labels, data.test_labels])


@pytest.fixture
def files(repository: Repository) -> Repository:
    images, labels = framed()
    np.save("images.npy", images)
    np.save("labels.npy", labels)
    np.save("zeros.npy", images[labels == 0])
    return repository


def test_a_better_version_is_published_beside_the_default(
    files: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["recalibrate", "repository/mlp", "--data", "images.npy", "--labels", "labels.npy", "--rows", "200"]

    assert main(command) == 0

    out = capsys.readouterr().out
    assert out.count("passed") == 12
    assert out.endswith(f"published mlp version 2: {files.root / 'mlp' / '2'}\n")
    assert files.default_version("mlp") == 1
    lineage = files.read("mlp", 2).manifest.lineage
    assert lineage.parent is not None
    assert (lineage.parent.version, lineage.created_by) == (1, PROGRAM)
    assert lineage.recalibration is not None
    assert (lineage.recalibration.rows, lineage.recalibration.prior) == (200, None)

    # Again, by the folder of the new version: it starts from the trained one, and the default is untouched.
    assert main([*command[:1], "repository/mlp/2", *command[2:], "--force"]) == 0
    grandchild = files.read("mlp", 3).manifest.lineage.parent
    assert grandchild is not None
    assert grandchild.version == 1
    assert files.default_version("mlp") == 1


def test_rows_of_one_class_are_refused_unless_forced(files: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["recalibrate", "repository/mlp", "--data", "zeros.npy"]

    assert main(command) == 1
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert captured.err.splitlines()[-1].startswith("error: information")
    assert files.versions("mlp") == [1]

    assert main([*command, "--force"]) == 0
    record = files.read("mlp", 2).manifest.lineage.recalibration
    assert record is not None
    assert record.forced
    assert files.default_version("mlp") == 1


@pytest.mark.usefixtures("files")
def test_rows_that_the_versions_disagree_on_are_named_until_they_have_labels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = np.load("labels.npy")

    def asked(has_label: np.ndarray) -> list[int]:
        np.save("few.npy", np.where(has_label, known, UNKNOWN))
        main(["recalibrate", "repository/mlp", "--data", "images.npy", "--rows", "100", "--labels", "few.npy"])
        about = "labels that would tell which version is better: those of the rows "
        lines = capsys.readouterr().out.splitlines()
        return [int(row) for line in lines if line.startswith(about) for row in line.removeprefix(about).split(", ")]

    has_label = np.arange(len(known)) < 3
    first = asked(has_label)
    assert len(first) == MAX_ROWS_TO_LABEL
    has_label[first] = True
    then = asked(has_label)
    assert then
    assert not has_label[then].any()
    has_label[then] = True
    assert not asked(has_label)


@pytest.mark.usefixtures("files")
def test_one_label_has_to_be_known(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("none.npy", np.full(len(np.load("labels.npy")), UNKNOWN))

    assert main(["recalibrate", "repository/mlp", "--data", "images.npy", "--labels", "none.npy"]) == 2
    assert "labels: none of them is known" in capsys.readouterr().err


def test_a_data_set_by_name_brings_its_labels(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    main(["recalibrate", "repository/convnet", "--data", "digits"])

    assert "accuracy" in capsys.readouterr().out
    assert repository.default_version("convnet") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "Request for unknown model: 'nowhere' is not found"),
        (["repository/mlp", "--data", "nothing.npy"], 2, "data: nothing.npy cannot be read"),
        (["repository/mlp", "--data", "images.npy", "--labels", "images.npy"], 2, "labels: images.npy does not hold"),
        (["repository/mlp", "--data", "images.npy", "--rows", "1"], 2, "rows: got 1, expected 2 to 4096"),
        (["repository/mlp", "--data", "images.npy", "--prior", "-1"], 2, "prior: got -1.0, expected"),
    ],
)
@pytest.mark.usefixtures("files")
def test_what_is_asked_for_wrongly_is_named(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recalibrate", *arguments, *(["--data", "images.npy"] if "--data" not in arguments else [])]) == code
    assert message in capsys.readouterr().err


def test_a_folder_that_is_no_version_is_refused(tmp_path: Path, repository: Repository) -> None:
    (tmp_path / "copy").mkdir()
    for file in (repository.root / "mlp" / "1").iterdir():
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())

    with pytest.raises(InvalidInput, match="its name is not a version number"):
        Parent.read(str(tmp_path / "copy"))


def test_pixels_are_prepared_as_the_manifest_says(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)

    rows, labels = recalibration.read_rows(str(tmp_path / "pixels.npy"), image_bundle().manifest, tmp_path)

    assert labels is None
    assert rows["input"].dtype == np.float32
    np.testing.assert_allclose(rows["input"][:, 0], (pixels / 255 - 0.1307) / 0.3081, rtol=1e-6, atol=1e-6)

    np.save(tmp_path / "pixels.npy", pixels[:, 1:])
    with pytest.raises(InvalidInput, match=r"data: .* are not images of"):
        recalibration.read_rows(str(tmp_path / "pixels.npy"), image_bundle().manifest, tmp_path)
