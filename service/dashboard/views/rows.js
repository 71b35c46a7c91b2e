// @ts-check
/** Rows for a model of tensors: a field for their JSON, and the outputs with how unusual the layers find each row. */

import { predictRows } from "../actions.js";
import { h } from "../dom.js";
import { count, number } from "../format.js";
import { tensorRequest } from "./command.js";
import { keep } from "./keep.js";
import { ifMayPredict } from "./permitted.js";
import { stackedTable } from "./tables.js";

/** @import { InferredOutputs, ModelMetadata, On, Trial } from "../types" */

const MOST_VALUES = 32;

/** @param {ModelMetadata} metadata */
export function rowsBox(metadata) {
  /** @param {On<HTMLFormElement, SubmitEvent>} event */
  const send = (event) => {
    event.preventDefault();
    predictRows(String(new FormData(event.currentTarget).get("rows")));
  };
  return h(
    "form",
    { class: "drop", onsubmit: send },
    h(
      "label",
      null,
      "Rows, as JSON",
      h("textarea", { name: "rows", rows: 6, required: true }, tensorRequest(metadata)),
    ),
    h("button", { type: "submit", ...ifMayPredict() }, "Predict"),
    h("p", { class: "muted" }, "What you send counts as traffic."),
  );
}

/** @param {Trial} trial @param {string} model */
export const rowsResult = ({ outputs, failure }, model) =>
  h(
    "div",
    { class: "result of-text" },
    failure && h("p", { class: "failure", role: "alert" }, failure),
    outputs && [
      h("p", { class: "visually-hidden", role: "status" }, "The answer is below."),
      stackedTable("Outputs", ["Output", "Type", "Shape", "Values"], outputs.outputs.map(row)),
      keep(`${model}-answer`, () => outputs.outputs.flatMap(records), "[aria-label=Outputs]"),
    ],
  );

/** Names that the service gives to what its layers say of each row. @type {Record<string, string>} */
const ABOUT = {
  drift_score: "drift_score: how unusual each row is; one undisturbed row in 100 scores more than 1",
  drift_layer: "drift_layer: the layer that finds it most unusual",
};

/** @param {InferredOutputs["outputs"][number]} output */
function row({ name, datatype, shape, data }) {
  const shown = data.slice(0, MOST_VALUES).map((value) => (typeof value === "number" ? number(value) : String(value)));
  const rest = data.length > MOST_VALUES ? `, and ${count(data.length - MOST_VALUES)} more` : "";
  return [ABOUT[name] ?? name, datatype, shape.join(" \u00d7 "), `${shown.join(", ")}${rest}`];
}

/** @param {InferredOutputs["outputs"][number]} output */
const records = ({ name, data }) => data.map((value, at) => ({ output: name, at, value }));
