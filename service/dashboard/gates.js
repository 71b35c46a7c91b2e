/** The checks that a re-calibrated version goes through. */

import { h } from "./dom.js";
import { number } from "./format.js";

/** A row a gate: its figure, its bounds, and whether it holds. */
export function gates(found) {
  return h(
    "table",
    { class: "numbers gates" },
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        ["Gate", "Figure", "Bounds", "Passed"].map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    h(
      "tbody",
      null,
      found.map((gate) =>
        h(
          "tr",
          { key: gate.name },
          h("th", { scope: "row" }, gate.name.replaceAll("_", " "), h("span", { class: "note" }, gate.about)),
          h("td", null, gate.figure === null ? "not finite" : number(gate.figure)),
          h("td", null, bounds(gate)),
          h("td", { class: passed(gate) ? "done" : "failure" }, passed(gate) ? "\u2713 yes" : "\u2717 no"),
        ),
      ),
    ),
  );
}

function passed({ figure, lower, upper }) {
  return figure !== null && (lower === null || figure >= lower) && (upper === null || figure <= upper);
}

function bounds({ lower, upper }) {
  if (lower !== null && upper !== null) return `${number(lower)} to ${number(upper)}`;
  if (lower !== null) return `at least ${number(lower)}`;
  return upper !== null ? `at most ${number(upper)}` : "\u2013";
}
