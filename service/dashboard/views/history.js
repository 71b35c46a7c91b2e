// @ts-check
/** Drift over time. */

import { timeline } from "../charts.js";
import { h } from "../dom.js";
import { count, number, time } from "../format.js";
import { isShift } from "../scale.js";
import { unfoldingTable } from "./tables.js";

/** @import { Shown } from "../types" */

/** @param {Shown} state */
export function history({ history, layer, widths }) {
  const points = (history ?? []).filter((point) => point.rows > 0);
  if (points.length === 0) {
    return h("p", { class: "muted" }, history === null ? "\u2026" : "No rows have been observed yet.");
  }
  return [
    h(
      "p",
      { class: "key" },
      h("span", { class: "whole" }, "whole network"),
      layer !== null && [", ", h("span", { class: "own" }, layer)],
      ", ",
      h("span", { class: "shifts" }, "\u25bc shifted"),
      h("span", { class: "muted" }, "; symmetric KL divergence"),
    ),
    timeline(points, layer, widths.history),
    unfoldingTable(
      "Drift over time as a table",
      ["Time", "Rows", "Drift", "Shifted"],
      points
        .toReversed()
        .map((point) => [
          time(point.time),
          count(point.rows),
          number(point.symmetric_kl),
          isShift(point.verdict) ? "yes" : "",
        ]),
    ),
  ];
}
