// @ts-check
/** Parts that several tables have. */

import { h } from "../dom.js";

/** @import { Content } from "../types" */

/** @param {...string} names */
export const columnHeadings = (...names) =>
  h(
    "thead",
    null,
    h(
      "tr",
      null,
      names.map((name) => h("th", { scope: "col" }, name)),
    ),
  );

/**
 * A table of figures that scrolls where it is too wide.
 *
 * @param {string} label
 * @param {string[]} columns the first one names the rows
 * @param {Content[][]} rows
 */
export const figureTable = (label, columns, rows) =>
  h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    h(
      "table",
      { class: "numbers" },
      columnHeadings(...columns),
      h(
        "tbody",
        null,
        rows.map(([name, ...cells]) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, name),
            cells.map((cell) => h("td", null, cell)),
          ),
        ),
      ),
    ),
  );

/**
 * The figures of a drawing as a table that unfolds.
 *
 * @param {string} label
 * @param {string[]} columns the first one names the rows
 * @param {Content[][]} rows
 */
export const unfoldingTable = (label, columns, rows) =>
  h("details", null, h("summary", null, "As a table"), figureTable(label, columns, rows));

/**
 * Figures, each with a sentence that says what it is, one click below.
 *
 * @param {string} operation of the API that returns them
 * @param {Array<[name: string, value: Content, explanation: string]>} figures
 */
export const explainedFigures = (operation, figures) =>
  h(
    "details",
    { class: "figures" },
    h("summary", null, "The figures behind it"),
    h(
      "dl",
      { class: "explained" },
      figures.map(([name, value, explanation]) =>
        h(
          "div",
          null,
          h("dt", null, name),
          h("dd", { class: "value" }, value),
          h("dd", { class: "muted" }, explanation),
        ),
      ),
    ),
    h("p", { class: "note" }, h("a", { href: `docs#/watch/get_${operation}` }, "All of them in the API")),
  );

/** Facts as terms and their values. @param {Array<[term: string, value: Content, note?: Content]>} facts @param {string} [kind] */
export const factList = (facts, kind = "") =>
  h(
    "dl",
    { class: `facts ${kind}`.trim() },
    facts.map(([term, value, note]) =>
      h("div", null, h("dt", null, term), h("dd", null, value), note && h("dd", { class: "note" }, note)),
    ),
  );
