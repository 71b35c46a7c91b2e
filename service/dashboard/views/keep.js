// @ts-check
/** Buttons that save what is shown. */

import { h } from "../dom.js";
import { saveDrawing, saveTable } from "../downloads.js";

/**
 * @param {string} name of the files, without what tells their format
 * @param {() => Array<Record<string, unknown>>} records of the table, at least one
 * @param {string | null} [drawing] its selector; null where only the figures can be kept
 */
export const keep = (name, records, drawing = null) =>
  h(
    "p",
    { class: "actions keep" },
    drawing !== null &&
      h("button", { type: "button", class: "link", onclick: () => saveDrawing(`${name}.png`, drawing) }, "Save as PNG"),
    h("button", { type: "button", class: "link", onclick: () => saveTable(`${name}.csv`, records()) }, "Save as CSV"),
  );
