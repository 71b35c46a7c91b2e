// @ts-check
/** Shares of the predicted classes beside those of the reference. */

import { bar } from "../charts.js";
import { h } from "../dom.js";
import { count, NONE, percent } from "../format.js";
import { update } from "../state.js";
import { keep } from "./keep.js";

/** @import { Classes, Shown } from "../types" */

const FEW = 12;

/** @param {Shown} state */
export function classes({ drift, card, model, showsAllClasses }) {
  const found = drift?.classes;
  if (!found) {
    return h("p", { class: "muted" }, card.labels ? "No rows have been observed yet." : "This model has no classes.");
  }
  if (!found.counts.some(Boolean)) return h("p", { class: "muted" }, "No rows were observed in this window.");
  return [
    shareTable(found, showsAllClasses),
    keep(`${model}-classes`, () => records(found), "table.shares"),
    found.labels.length > FEW && more(found, showsAllClasses),
  ];
}

/** Of many classes, those that differ most. @param {Classes} classes @param {boolean} all */
function shareTable({ labels, counts, shares, reference_shares: reference }, all) {
  const order = labels.map((_, at) => at);
  /** @param {number} at */
  const weight = (at) => (reference ? Math.abs(shares[at] - reference[at]) : shares[at]);
  const rows = labels.length > FEW && !all ? order.toSorted((a, b) => weight(b) - weight(a)).slice(0, FEW) : order;
  const top = Math.max(...shares, ...(reference ?? []), 1e-9);
  return h(
    "table",
    { class: "classes shares" },
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", { scope: "col" }, "Class"),
        h("td"),
        h("th", { scope: "col" }, "Live"),
        h("th", { scope: "col" }, "Reference"),
      ),
    ),
    h(
      "tbody",
      null,
      rows.map((at) =>
        h(
          "tr",
          { key: at },
          h("th", { scope: "row" }, h("span", { class: "label", title: labels[at] }, labels[at])),
          h("td", { class: "wide" }, bar(shares[at] / top, reference ? reference[at] / top : null)),
          h("td", { title: `${count(counts[at])} rows` }, percent(shares[at])),
          h("td", { class: "muted" }, reference ? percent(reference[at]) : NONE),
        ),
      ),
    ),
  );
}

/** @param {Classes} classes */
const records = ({ labels, counts, shares, reference_shares: reference }) =>
  labels.map((label, at) => ({
    class: label,
    rows: counts[at],
    share: shares[at],
    reference_share: reference?.[at] ?? null,
  }));

/** @param {Classes} classes @param {boolean} all */
function more({ labels, reference_shares: reference }, all) {
  const toggle = () => update({ showsAllClasses: !all });
  return h(
    "p",
    null,
    h("button", { type: "button", class: "link", onclick: toggle }, all ? `Show ${FEW}` : `Show all ${labels.length}`),
    !all && h("span", { class: "muted" }, ` These ${FEW} ${reference ? "differ most" : "are the most frequent"}.`),
  );
}
