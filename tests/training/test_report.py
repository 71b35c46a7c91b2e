"""Tables for the terminal."""

import numpy as np

from tests.bundles import tiny_bundle
from training import report


def test_a_confusion_table_has_a_line_for_each_true_class() -> None:
    assert report.confusion(np.array([[10, 2], [0, 7]]), ["cat", "dog"]).splitlines() == [
        "true \\ predicted  cat  dog",
        "cat               10   2",
        "dog               0    7",
    ]


def test_a_kept_layer_is_shown_with_its_reason() -> None:
    layer = tiny_bundle().manifest.norm_layers[0]
    kept = layer.placement.model_copy(update={"kind": "kept", "into": (), "reason": "it follows a ReLU"})
    proven = kept.model_copy(update={"proven": True})

    placements = (layer.placement, kept, proven)
    table = report.layers([layer.model_copy(update={"placement": one}) for one in placements]).splitlines()

    assert table[1].endswith("folded back into fc")
    assert table[2].endswith("kept, no fold known: it follows a ReLU")
    assert table[3].endswith("kept, neither side can take it: it follows a ReLU")
    assert table[4] == "1 of 3 folded"
