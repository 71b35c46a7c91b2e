"""A network for texts, from a table to predictions, drift and re-calibration."""

import re
from pathlib import Path

import numpy as np
import pytest

from models.datatypes import Array
from models.drift.detector import Detector
from models.errors import InvalidInput
from models.observation import ObservationReader
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.engine import Engine
from models.tokenization import Tokenizer
from tests.training.texts import corpus
from training.__main__ import main
from training.config import Config
from training.data.load import load
from training.recalibration import Parent, read_rows


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, and a repository with a network trained on it."""
    folder = tmp_path_factory.mktemp("texts")
    lines = "\n".join(f"{text}\t{label}" for text, label in corpus())
    (folder / "reviews.tsv").write_text(f"text\tlabel\n{lines}", "utf-8")
    options = {
        "--data": "table",
        "--data-dir": folder / "reviews.tsv",
        "--width": 8,
        "--epochs": 4,
        "--learning-rate": 0.01,
        "--repository": folder / "repository",
        "--run-dir": folder / "run",
    }
    assert main(["train", "--model", "textcnn", *(str(part) for option in options.items() for part in option)]) == 0
    return folder


@pytest.fixture(scope="module")
def bundle(root: Path) -> Bundle:
    return Repository(root / "repository").read("textcnn", 1)


def encode(bundle: Bundle, texts: list[str]) -> Array:
    assert bundle.manifest.tokenization is not None
    return Tokenizer(bundle.manifest.tokenization).encode(texts, "text")


def test_every_layer_is_folded_and_the_words_are_in_the_manifest(bundle: Bundle) -> None:
    manifest = bundle.manifest

    assert [layer.placement.kind for layer in manifest.norm_layers] == ["folded_back"] * 3
    assert manifest.labels == ("bad", "good")
    assert manifest.tokenization is not None
    assert {"moving", "dull", ","} < set(manifest.tokenization.vocabulary)
    assert manifest.inputs[0].shape == (-1, manifest.tokenization.max_tokens)
    assert manifest.training is not None
    assert manifest.training.metrics["test_accuracy"] > 0.95


def test_new_texts_get_their_class_and_nonsense_a_doubtful_one(bundle: Bundle) -> None:
    engine = Engine(bundle.folded, bundle.manifest.inputs)

    rows = encode(bundle, ["A funny story, and a moving plot!", "the cast of the film tired", "zzz qqq"])
    logits = engine.run({"input": rows})["logits"]

    assert logits[:2].argmax(axis=1).tolist() == [1, 0]
    assert np.abs(np.diff(logits, axis=1)[:2]).min() > np.abs(np.diff(logits[2]))


def test_sentences_of_other_words_are_drift_and_new_ones_of_the_same_kind_are_none(bundle: Bundle) -> None:
    assert bundle.observed is not None
    assert bundle.manifest.drift is not None
    engine = Engine(bundle.observed, bundle.manifest.inputs)
    reader = ObservationReader(bundle.manifest.layers, engine.output_names)

    def exceeds(texts: list[str]) -> bool:
        rows = reader.read(engine.run({"input": encode(bundle, texts)}))
        return bool(Detector(bundle.manifest.drift).row_scores(rows)[0].mean() > 0.9)

    usual = [text for text, _ in corpus(64, seed=1)]
    assert not exceeds(usual)
    assert exceeds(["moving funny bright warm dull tired flat cold"] * 64)


def test_it_is_re_calibrated_from_a_file_of_sentences(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentences = root / "live.txt"
    texts = [re.sub("film|plot|story", "serial", text) for text, _ in corpus(256, seed=2)]
    sentences.write_text("\n".join(texts), "utf-8")

    code = main(["recalibrate", str(root / "repository" / "textcnn"), "--data", str(sentences)])

    assert code == 0, capsys.readouterr().out
    repository = Repository(root / "repository")
    first, second = (repository.read("textcnn", version).manifest for version in (1, 2))
    assert second.tokenization == first.tokenization
    assert second.norm_layers[0].running_var != first.norm_layers[0].running_var  # of other words


def test_rows_of_another_vocabulary_are_refused(root: Path) -> None:
    parent = Parent.read(str(root / "repository" / "textcnn" / "1"))

    with pytest.raises(InvalidInput, match="'digits' does not have the tokens of this model"):
        read_rows("digits", parent.bundle.manifest, None)


@pytest.mark.parametrize(("model", "data"), [("textcnn", "digits"), ("mlp", "rt-polarity"), ("convnet", "table")])
def test_texts_and_images_have_networks_of_their_own(model: str, data: str) -> None:
    with pytest.raises(InvalidInput, match=f"data: must be a data set of .* for {model}; '{data}' has"):
        Config(model, data)  # type: ignore[arg-type]


def test_the_default_folder_is_named_after_the_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidInput, match=r"there is no data/rt-polarity/rt-polarity\.neg"):
        load("rt-polarity", None)
