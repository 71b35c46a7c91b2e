"""CBPE by NannyML itself, on probabilities that `benchmarks.cbpe` has stored. Run by an interpreter that has nannyml:

python benchmarks/nannyml_cbpe.py FILE.npz

The file has `reference`, shape (n, K), the `labels` of these rows, and `cases`, shape (c, rows, K). Prints a JSON list
with the estimated accuracy of each case, which is one chunk.
"""

import json
import sys

import numpy as np
import pandas as pd
from nannyml import CBPE


def frame(given: np.ndarray) -> pd.DataFrame:
    """Probabilities and predicted classes, in the columns that NannyML expects."""
    columns = {f"p{number}": given[:, number].astype(np.float64) for number in range(given.shape[1])}
    return pd.DataFrame(columns | {"predicted": given.argmax(axis=1)})


def main(path: str) -> None:
    stored = np.load(path)
    cases = stored["cases"]
    reference = frame(stored["reference"]).assign(label=stored["labels"])
    estimator = CBPE(
        metrics=["accuracy"],
        y_pred_proba={number: f"p{number}" for number in range(cases.shape[2])},
        y_pred="predicted",
        y_true="label",
        problem_type="classification_multiclass",
        chunk_size=cases.shape[1],
    )
    found = estimator.fit(reference).estimate(frame(cases.reshape(-1, cases.shape[2])))
    values = found.filter(period="analysis").to_df()["accuracy", "value"].tolist()
    print(json.dumps(values))


if __name__ == "__main__":
    main(sys.argv[1])
