// @ts-check
/** What a version is, and where it came from. */

import { h } from "../dom.js";
import { count, date, number } from "../format.js";
import { gateTable } from "./gates.js";
import { factList } from "./tables.js";

/** @import { ModelCard, Shown, Tensor } from "../types" */

/** @type {Record<string, string>} */
const CAPABILITIES = {
  batching: "Batching",
  watching: "Watching",
  layer_statistics: "Layer statistics of one request",
  reference: "Collecting a reference",
  recalibration: "Re-calibration",
  folding: "Folding",
  images: "Predicting from images",
  text: "Predicting from texts",
  generation: "Generating images",
};

/** @param {Shown} state */
export function about({ card, metadata, model }) {
  const { lineage, training, parity, provider, description } = card;
  const { origin, parent, recalibration, quantization } = lineage;
  const gates = (recalibration ?? quantization)?.gates;
  return [
    description && h("p", { class: "description" }, description),
    factList(
      [
        ["Origin", parent ? `${origin}, from ${parent.model} ${parent.version}` : origin],
        ["Created", `${date(lineage.created_at)}, by ${lineage.created_by}`],
        ["Runs on", provider],
        ["Inputs", metadata.inputs.map(tensor).join("; ")],
        ["Outputs", metadata.outputs.map(tensor).join("; ")],
        ["Folding error", foldingError(parity)],
        ...(recalibration ? [recalibrationFact(recalibration)] : []),
        ...(quantization ? quantizationFacts(quantization) : []),
        ...Object.entries(training?.metrics ?? {}).map(
          ([name, value]) =>
            /** @type {[string, string]} */ ([name.replaceAll("_", " "), String(Number(value.toPrecision(4)))]),
        ),
      ],
      "long",
    ),
    gates && [h("h3", null, "Checks that it passed"), gateTable(gates, `${model}-${card.version}-checks`)],
    notes(
      "Not possible",
      Object.entries(card.unavailable).map(([name, reason]) => `${CAPABILITIES[name]}: ${reason}.`),
    ),
    notes("Warnings", card.warnings),
  ];
}

/**
 * @param {NonNullable<ModelCard["lineage"]["recalibration"]>} record
 * @returns {[string, string]}
 */
const recalibrationFact = ({ rows, prior, forced }) => [
  "Re-calibrated",
  `from ${count(rows)} rows${typeof prior === "number" ? `, prior ${number(prior)}` : ""}${forced ? ", forced" : ""}`,
];

/**
 * @param {NonNullable<ModelCard["lineage"]["quantization"]>} record
 * @returns {Array<[string, string]>}
 */
const quantizationFacts = ({ layers, ranges_from, rows, agreement, compared_rows, speeds, forced }) => [
  [
    "8 bits",
    `${count(layers)} layers, ranges from ${ranges_from === "rows" ? `${count(rows)} rows` : "batch normalisation"}${forced ? ", forced" : ""}`,
  ],
  ...(typeof agreement === "number"
    ? [/** @type {[string, string]} */ (["Same class", `${number(100 * agreement)} % of ${count(compared_rows)} rows`])]
    : []),
  [
    "Speed",
    speeds.map((speed) => `${number(speed.ratio)} × the parent's with ${count(speed.rows)} rows a run`).join("; "),
  ],
];

/** @param {Tensor} tensor */
const tensor = ({ name, datatype, shape }) =>
  `${name} ${datatype} [${shape.map((size) => (size < 0 ? "n" : size)).join(", ")}]`;

/** @param {ModelCard["parity"]} parity */
function foldingError({ comparisons, rows, skipped }) {
  if (comparisons.length === 0) return `not measured: ${skipped}`;
  const largest = Math.max(...comparisons.map((one) => one.max_relative)).toExponential(1);
  return `at most ${largest} of the largest output, on ${count(rows)} rows`;
}

/** @param {string} title @param {string[]} texts */
const notes = (title, texts) =>
  texts.length > 0 && [
    h("h3", null, title),
    h(
      "ul",
      { class: "notes" },
      texts.map((text) => h("li", null, text)),
    ),
  ];
