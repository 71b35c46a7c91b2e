"""The command line, as users type it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.graph.load import serialize
from models.manifest import Batching
from models.repository.repository import Repository
from tests.graphs import linear_norm, wide_norms
from training.__main__ import main
from training.data import digits
from training.data.dataset import ImageDataset


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def onnx_file(tmp_path: Path) -> str:
    (tmp_path / "network.onnx").write_bytes(serialize(linear_norm()))
    return "network.onnx"


def test_training_ends_with_a_published_bundle(
    few_digits: ImageDataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(digits, "load", lambda: few_digits)

    assert main(["train", "--model", "mlp", "--data", "digits", "--epochs", "2", "--name", "tiny"]) == 0

    out = capsys.readouterr().out
    assert "epoch 2/2: loss" in out
    assert "true \\ predicted  0" in out
    assert "folded back into" in out
    assert out.endswith(f"published tiny version 1: {Path('repository/tiny/1')}\n")
    manifest = Repository(Path("repository")).read("tiny", 1).manifest
    assert manifest.labels == tuple("0123456789")
    assert manifest.preprocessing == few_digits.preprocessing
    assert manifest.training is not None
    assert manifest.training.config["epochs"] == 2
    assert f"with population statistics {manifest.training.metrics['test_accuracy']:.2%}" in out
    assert manifest.parity.rows == 53
    assert Path("runs/tiny/checkpoint.safetensors").is_file()

    assert main(["inspect", "repository/tiny/1"]) == 0
    assert f"test_accuracy: {manifest.training.metrics['test_accuracy']:.4f}" in capsys.readouterr().out

    # The checkpoint alone gives the same bundle again, as the next version.
    assert main(["export", "runs/tiny/checkpoint.safetensors", "--name", "tiny"]) == 0
    again = Repository(Path("repository")).read("tiny", 2).manifest
    assert again.norm_layers == manifest.norm_layers
    assert again.training == manifest.training
    assert again.half_weights is None

    assert main(["export", "runs/tiny/checkpoint.safetensors", "--name", "tiny", "--half-weights"]) == 0
    assert Repository(Path("repository")).read("tiny", 3).manifest.half_weights is not None
    assert "weights in half precision, on" in capsys.readouterr().out


def test_training_without_publishing_leaves_only_the_checkpoint(
    few_digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digits, "load", lambda: few_digits)

    assert main(["train", "--model", "mlp", "--data", "digits", "--epochs", "1", "--no-publish"]) == 0

    assert [path.name for path in Path().iterdir()] == ["runs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --model mlp --data digits --batch-size 1", "batch-size: must be at least 2"),
        ("train --model transformer --data digits", "transformer"),
        ("train --model mlp", "--data"),
        ("train --model mlp --data digits --colour red", "--colour"),
        ("train --model mlp --data digits --epochs many", "many"),
        ("train --model resnet --data digits --depth 9", "depth: must be 6n + 2"),
        ("train --model mlp --data digits --name a/b", "name: 'a/b' is no name for a model"),
        ("train --model mlp --data digits --resume", "no checkpoint"),
        ("export nothing.safetensors", "no checkpoint nothing.safetensors"),
        ("import nothing.onnx --name x", "no file nothing.onnx"),
        ("inspect nothing", "no bundle or file nothing"),
        ("fly", "fly"),
    ],
)
def test_what_is_asked_for_wrongly_is_one_line_and_exit_code_2(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 2

    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert captured.out == ""
    assert list(Path().iterdir()) == []


def test_an_imported_file_is_published_and_can_be_inspected(onnx_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", onnx_file, "--name", "theirs", "--labels", "a,b,c"]) == 0
    assert "published theirs version 1" in capsys.readouterr().out

    assert main(["inspect", "repository/theirs/1"]) == 0
    bundle = capsys.readouterr().out
    assert main(["inspect", onnx_file]) == 0
    file = capsys.readouterr().out

    assert "theirs: imported" in bundle
    assert "x: FP32 [-1, 4]" in bundle
    assert file.strip() in bundle
    assert "1 of 1 folded" in file


def test_held_out_rows_of_a_file_set_the_thresholds(onnx_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("rows.npy", np.random.default_rng(0).normal(size=(300, 4)))
    np.save("few.npy", np.zeros((63, 4)))

    assert main(["import", onnx_file, "--name", "theirs", "--reference", "rows.npy"]) == 0
    assert "drift alarms: thresholds from 300 held-out rows" in capsys.readouterr().out
    assert Repository(Path("repository")).read("theirs", 1).held_out is not None

    assert main(["import", onnx_file, "--name", "theirs", "--reference", "few.npy"]) == 2
    assert "reference: got 63 rows, thresholds need at least 64" in capsys.readouterr().err
    assert Repository(Path("repository")).versions("theirs") == [1]


def test_a_file_that_cannot_be_served_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = linear_norm("training_mode = 1", outputs="y, new_mean, new_var")
    (tmp_path / "network.onnx").write_bytes(serialize(model))

    assert main(["import", "network.onnx", "--name", "theirs"]) == 1

    assert capsys.readouterr().err.count("\n") == 1
    assert not Path("repository").exists()


def test_an_imported_model_can_say_how_its_requests_are_joined(onnx_file: str) -> None:
    assert main(["import", onnx_file, "--name", "own", "--max-batch-rows", "8", "--batch-wait-ms", "1.5"]) == 0
    assert main(["import", onnx_file, "--name", "none"]) == 0
    assert main(["import", onnx_file, "--name", "wrong", "--max-batch-rows", "0"]) == 2

    repository = Repository(Path("repository"))
    assert repository.models() == ["none", "own"]
    assert repository.read("own", 1).manifest.batching == Batching(max_batch_rows=8, batch_wait_ms=1.5)
    assert repository.read("none", 1).manifest.batching is None


@pytest.mark.parametrize("command", ["import network.onnx --name x", "train --model mlp --data digits"])
def test_a_repository_that_is_no_folder_is_noticed_before_the_work(
    command: str, onnx_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("repository").touch()

    assert main(command.split()) == 2

    assert "repository: repository is not a folder" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == [onnx_file, "repository"]


def test_a_disk_that_is_full_is_exit_code_1(
    onnx_file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Repository, "publish", full)

    assert main(["import", onnx_file, "--name", "theirs"]) == 1
    assert capsys.readouterr().err == "error: [Errno 28] No space left on device\n"


def test_weights_are_stored_in_half_precision_or_the_error_says_why_not(
    onnx_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wide.onnx").write_bytes(serialize(wide_norms(32, 2)))

    assert main(["import", "wide.onnx", "--name", "wide", "--half-weights", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["manifest"]["half_weights"]
    assert (record["weights"], record["rows"]) == (2, 256)
    assert 0 < record["max_relative"] < 1e-3

    assert main(["import", onnx_file, "--name", "tiny", "--half-weights"]) == 1
    assert "half precision saves nothing" in capsys.readouterr().err
    assert not Path("repository/tiny").exists()


def test_programs_get_one_json_object(onnx_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", onnx_file, "--name", "theirs", "--json"]) == 0
    printed = capsys.readouterr()
    published = json.loads(printed.out)
    assert (published["model"], published["version"], published["path"]) == ("theirs", 1, "repository/theirs/1")
    assert "1 of 1 folded" in printed.err  # what people read is not lost

    assert main(["inspect", published["path"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == published["manifest"]
    assert main(["inspect", "repository", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"bundles": [published["path"]]}
    assert main(["inspect", onnx_file, "--json"]) == 0
    (layer,) = json.loads(capsys.readouterr().out)["norm_layers"]
    assert layer["name"] == published["manifest"]["norm_layers"][0]["name"]


def test_import_inspect_and_help_need_no_torch(onnx_file: str) -> None:
    program = f"""
import sys
sys.modules["torch"] = None
from training.__main__ import main
codes = [main(["import", {onnx_file!r}, "--name", "x"]), main(["inspect", {onnx_file!r}]), main(["train", "--help"])]
sys.exit(sum(codes))
"""
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(root)}
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "half cosine" in " ".join(done.stdout.split())


def test_wrong_arguments_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "nope"]) == 2
    assert "name: got 'nope', expected one of figure-one" in capsys.readouterr().err
    assert main(["inspect", "repository", "--no-json", "extra"]) == 2
    assert "'extra' is not expected" in capsys.readouterr().err
