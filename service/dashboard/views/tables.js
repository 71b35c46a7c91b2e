// @ts-check
/** Parts that several tables have. */

import { h } from "../dom.js";
import { current, update } from "../state.js";

/** @import { Content, On } from "../types" */

const ROW_PIXELS = 30;
const VIRTUAL_FROM = 100;
const DRAWN = 60;
const ABOVE = 15;

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
 * A table of figures that scrolls where it is too wide. Of a long one, only the rows around those that can be seen are
 * drawn.
 *
 * @param {string} label
 * @param {string[]} columns the first one names the rows
 * @param {Content[][]} rows
 */
export function figureTable(label, columns, rows) {
  const isLong = rows.length > VIRTUAL_FROM;
  const start = isLong ? Math.max(Math.floor((current().scrolled[label] ?? 0) / ROW_PIXELS) - ABOVE, 0) : 0;
  const end = isLong ? Math.min(start + DRAWN, rows.length) : rows.length;
  /** @param {On<HTMLElement>} event */
  const scroll = ({ currentTarget: { scrollTop } }) =>
    update(({ scrolled }) => ({ scrolled: { ...scrolled, [label]: scrollTop } }));
  return h(
    "div",
    {
      class: isLong ? "scroll long" : "scroll",
      tabindex: 0,
      role: "region",
      "aria-label": label,
      onscroll: isLong ? scroll : undefined,
    },
    h(
      "table",
      { class: "numbers", "aria-rowcount": isLong ? rows.length + 1 : null },
      columnHeadings(...columns),
      h(
        "tbody",
        null,
        isLong && space(start),
        rows.slice(start, end).map(([name, ...cells], at) =>
          h(
            "tr",
            { key: start + at, "aria-rowindex": isLong ? start + at + 2 : null },
            h("th", { scope: "row" }, name),
            cells.map((cell) => h("td", null, cell)),
          ),
        ),
        isLong && space(rows.length - end),
      ),
    ),
  );
}

/**
 * A short table of facts, whose rows stand as lists where it is too wide.
 *
 * @param {string} label
 * @param {string[]} columns the first one names the rows
 * @param {Content[][]} rows
 */
export const stackedTable = (label, columns, rows) =>
  h(
    "table",
    { class: "list stacked", role: "table", "aria-label": label },
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        columns.map((name) => h("th", { scope: "col", role: "columnheader" }, name)),
      ),
    ),
    h(
      "tbody",
      { role: "rowgroup" },
      rows.map(([name, ...cells]) =>
        h(
          "tr",
          { role: "row" },
          h("th", { scope: "row", role: "rowheader" }, name),
          cells.map((cell, at) => h("td", { role: "cell", "data-label": columns[at + 1] }, h("span", null, cell))),
        ),
      ),
    ),
  );

/** In place of rows that are not drawn. @param {number} rows */
const space = (rows) =>
  h("tr", { class: "space", "aria-hidden": "true" }, h("td", { style: { height: `${rows * ROW_PIXELS}px` } }));

/**
 * The figures of a drawing as a table that unfolds. It is made when it is open.
 *
 * @param {string} label
 * @param {string[]} columns the first one names the rows
 * @param {() => Content[][]} rows
 */
export function unfoldingTable(label, columns, rows) {
  /** @param {On<HTMLDetailsElement>} event */
  const toggle = ({ currentTarget: { open } }) =>
    update(({ unfolded }) => ({ unfolded: open ? [...unfolded, label] : unfolded.filter((one) => one !== label) }));
  return h(
    "details",
    { ontoggle: toggle },
    h("summary", null, "As a table"),
    current().unfolded.includes(label) && figureTable(label, columns, rows()),
  );
}

/**
 * Figures, each with a sentence that says what it is, one click below.
 *
 * @param {string} operation of the API that returns them
 * @param {Array<[name: string, value: Content, explanation: string]>} figures
 * @param {Content} [link] to what explains them at length
 */
export const explainedFigures = (operation, figures, link = null) =>
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
    h("p", { class: "note" }, h("a", { href: `docs#/watch/get_${operation}` }, "All of them in the API"), " ", link),
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
