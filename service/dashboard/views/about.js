// @ts-check
/** What a version is, and where it came from. */

import { h } from "../dom.js";
import { count, date, number } from "../format.js";
import { gateTable } from "./gates.js";
import { factList } from "./tables.js";

/** @import { ModelCard, Shown, Tensor } from "../types" */

/** @param {Shown} state */
export function about({ card, metadata }) {
  const { lineage, training, parity, provider, description } = card;
  const { origin, parent, recalibration } = lineage;
  return [
    description && h("p", { class: "description" }, description),
    factList(
      [
        ["Origin", parent ? `${origin}, from ${parent.model} ${parent.version}` : origin],
        ["Created", `${date(lineage.created_at)}, by ${lineage.created_by}`],
        ["Runs on", provider],
        ["Inputs", metadata.inputs.map(tensor).join("; ")],
        ["Outputs", metadata.outputs.map(tensor).join("; ")],
        ["Folding error", `at most ${largestError(parity)} of the largest output, on ${count(parity.rows)} rows`],
        ...(recalibration ? [recalibrationFact(recalibration)] : []),
        ...Object.entries(training?.metrics ?? {}).map(
          ([name, value]) =>
            /** @type {[string, string]} */ ([name.replaceAll("_", " "), String(Number(value.toPrecision(4)))]),
        ),
      ],
      "long",
    ),
    recalibration && [h("h3", null, "Gates"), gateTable(recalibration.gates)],
  ];
}

/**
 * @param {NonNullable<ModelCard["lineage"]["recalibration"]>} record
 * @returns {[string, string]}
 */
const recalibrationFact = ({ rows, prior, forced }) => [
  "Re-calibrated",
  `from ${count(rows)} rows, prior ${number(prior)}${forced ? ", forced" : ""}`,
];

/** @param {Tensor} tensor */
const tensor = ({ name, datatype, shape }) =>
  `${name} ${datatype} [${shape.map((size) => (size < 0 ? "n" : size)).join(", ")}]`;

/** @param {ModelCard["parity"]} parity */
const largestError = ({ comparisons }) => Math.max(...comparisons.map((one) => one.max_relative)).toExponential(1);
