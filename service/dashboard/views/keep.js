// @ts-check
/** Buttons that save what is shown. */

import { h } from "../dom.js";
import { savePicture, saveTable } from "../downloads.js";

/**
 * @param {string} name of the files, without what tells their format
 * @param {() => Array<Record<string, unknown>>} records of the table, at least one
 * @param {string} shown selector of what is kept as a picture
 */
export const keep = (name, records, shown) =>
  h(
    "p",
    { class: "actions keep" },
    h("button", { type: "button", class: "link", onclick: () => savePicture(`${name}.png`, shown) }, "Save as PNG"),
    h("button", { type: "button", class: "link", onclick: () => saveTable(`${name}.csv`, records()) }, "Save as CSV"),
  );
