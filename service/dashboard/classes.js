/** Predicted classes beside those of the reference. */

import { bar } from "./charts.js";
import { h } from "./dom.js";
import { count, percent } from "./format.js";

const SHOWN = 12;

/** A row a class: its share, and where the reference had it. Of many classes, those that differ most. */
export function classes(found, all, showAll) {
  const { labels, counts, shares, reference_shares: reference } = found;
  const order = labels.map((_label, at) => at);
  const weight = (at) => (reference ? Math.abs(shares[at] - reference[at]) : shares[at]);
  const few = labels.length > SHOWN && !all;
  const rows = few ? order.sort((a, b) => weight(b) - weight(a)).slice(0, SHOWN) : order;
  const top = Math.max(...shares, ...(reference ?? []), 1e-9);
  return [
    h(
      "table",
      { class: "classes" },
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          h("th", { scope: "col" }, "Class"),
          h("td", null),
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
            h("td", { class: "muted" }, reference ? percent(reference[at]) : "\u2013"),
          ),
        ),
      ),
    ),
    labels.length > SHOWN &&
      h(
        "p",
        null,
        h(
          "button",
          { type: "button", class: "link", onclick: showAll },
          all ? `Show ${SHOWN}` : `Show all ${labels.length}`,
        ),
        few && h("span", { class: "muted" }, ` These ${SHOWN} ${reference ? "differ most" : "are the most frequent"}.`),
      ),
  ];
}
