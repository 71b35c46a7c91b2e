// @ts-check
/** Drift over time: a drawing, the figures of one moment, and all of them to keep. */

import { h } from "../dom.js";
import { saveDrawing, saveTable } from "../downloads.js";
import { count, date, number, zone } from "../format.js";
import { RANGES } from "../ranges.js";
import { isShift } from "../scale.js";
import { sizeInWords } from "../words.js";
import { unfoldingTable } from "./tables.js";
import { endOf, readOut, timeline } from "./timeline.js";

/** @import { Point, Shown } from "../types" */

const COLUMNS = ["Time", "Inputs", "Change", "State"];

/** The points of the time that is looked at, oldest first. @param {Shown} state */
export function shownPoints({ history, range }) {
  const first = Date.now() - RANGES[range].seconds * 1000;
  return (history ?? []).filter((point) => point.rows > 0 && endOf(point) > first);
}

/** @param {Shown} state */
export function history(state) {
  const { range, layer, rollout, judged, moment, widths, model } = state;
  const points = shownPoints(state);
  if (points.length === 0) return null;
  const last = Date.now();
  const large = judged?.large_symmetric_kl ?? 0;
  const frame = {
    first: last - RANGES[range].seconds * 1000,
    last,
    step: RANGES[range].step * 1000,
    large,
    layer,
    moment,
    published: (rollout?.versions ?? []).flatMap(({ version, lineage }) => {
      const at = lineage === null ? 0 : Date.parse(lineage.created_at);
      return at > last - RANGES[range].seconds * 1000 ? [{ version, at }] : [];
    }),
  };
  return [
    h("p", { class: "readout" }, reading(readOut(points, moment), large)),
    timeline(points, frame, widths.history),
    h(
      "p",
      { class: "key" },
      h("span", { class: "whole" }, "whole network"),
      layer !== null && [", ", h("span", { class: "own" }, layer)],
      ", ",
      h("span", { class: "shifts" }, "\u25bc changed"),
      ", ",
      h("span", { class: "large" }, "size from which a layer raises an alarm"),
      h("span", { class: "muted" }, `. Times in ${zone()}.`),
    ),
    h(
      "p",
      { class: "actions" },
      h("button", { type: "button", class: "link", onclick: () => saveDrawing(`${model}-drift.png`) }, "Save as PNG"),
      h(
        "button",
        { type: "button", class: "link", onclick: () => saveTable(`${model}-drift.csv`, points.map(record)) },
        "Save as CSV",
      ),
    ),
    unfoldingTable(
      "Drift over time as a table",
      COLUMNS,
      points
        .toReversed()
        .map((point) => [
          date(point.time),
          count(point.rows),
          number(point.symmetric_kl),
          isShift(point.verdict) ? "changed" : "",
        ]),
    ),
  ];
}

/** A moment in words, before its figure. @param {Point} point @param {number} large */
const reading = ({ time, rows, symmetric_kl: size, verdict }, large) => [
  h("strong", null, date(time)),
  `: ${count(rows)} inputs, ${verdict === "not_enough_rows" ? "too few to tell" : sizeInWords(size, large)}`,
  h("span", { class: "muted" }, ` (${number(size)} nats)`),
];

/** A point as a line of a table to keep. @param {Point} point */
const record = (point) => ({
  time: point.time,
  rows: point.rows,
  symmetric_kl: point.symmetric_kl,
  statistic: point.statistic,
  threshold: point.threshold,
  verdict: point.verdict,
  ...point.layers,
});
