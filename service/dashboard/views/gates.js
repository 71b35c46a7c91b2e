// @ts-check
/** The checks of a re-calibrated version, its gates: each figure, its bounds, and whether it passed. */

import { h } from "../dom.js";
import { NONE, number } from "../format.js";
import { keep } from "./keep.js";
import { columnHeadings } from "./tables.js";

/** @import { Gate } from "../types" */

/** @param {Gate[]} gates @param {string} name of the files to keep, and of the table among others on the page */
export function gateTable(gates, name) {
  const id = `gates-${name}`;
  return [table(gates, id), keep(name, () => gates.map(record), `#${CSS.escape(id)}`)];
}

/** @param {Gate[]} gates @param {string} id */
const table = (gates, id) =>
  h(
    "table",
    { class: "numbers gates", id },
    columnHeadings("Check", "Figure", "Bounds", "Passed"),
    h(
      "tbody",
      null,
      gates.map((gate) =>
        h(
          "tr",
          { key: gate.name },
          h("th", { scope: "row" }, gate.name.replaceAll("_", " "), h("span", { class: "note" }, gate.about)),
          h("td", null, gate.figure === null ? "not finite" : number(gate.figure)),
          h("td", null, bounds(gate)),
          h("td", { class: gate.passed || gate.outvoted ? "done" : "failure" }, passed(gate)),
        ),
      ),
    ),
  );

/** @param {Gate} gate */
const record = ({ name, figure, lower, upper, passed, outvoted, about }) => ({
  gate: name,
  figure,
  lower,
  upper,
  passed,
  outvoted,
  about,
});

/** @param {Gate} gate */
const passed = (gate) => (gate.passed ? "\u2713 yes" : gate.outvoted ? "\u2717 no, outvoted by labels" : "\u2717 no");

/** @param {Gate} gate */
function bounds({ lower, upper }) {
  if (lower !== null && upper !== null) return `${number(lower)} to ${number(upper)}`;
  if (lower !== null) return `at least ${number(lower)}`;
  return upper !== null ? `at most ${number(upper)}` : NONE;
}
