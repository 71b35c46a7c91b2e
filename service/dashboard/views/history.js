// @ts-check
/** Drift over time: a drawing, the figures of one moment, and all of them to keep. */

import { h } from "../dom.js";
import { count, date, number, zone } from "../format.js";
import { shownPeriod } from "../ranges.js";
import { isShift } from "../scale.js";
import { shownVersion } from "../selectors.js";
import { sizeInWords } from "../words.js";
import { alarmTable, periodOf, shownAlarms } from "./alarms.js";
import { comparison, nameOf } from "./compared.js";
import { keep } from "./keep.js";
import { unfoldingTable } from "./tables.js";
import { endOf, readOut, timeline } from "./timeline.js";

/** @import { ComparedHistory, Period, Point, Shown } from "../types" */

const COLUMNS = ["Time", "Inputs", "Change", "State"];

/** The points of the time that is looked at, oldest first. @param {Shown} state */
export const shownPoints = (state) => within(state.history ?? [], shownPeriod(state, Date.now()));

/** @param {Point[]} points @param {Period} period */
const within = (points, { first, last }) =>
  points.filter((point) => point.rows > 0 && endOf(point) > first && endOf(point) <= last + 43_200_000);

/** @param {Shown} state */
export function history(state) {
  const { layer, rollout, judged, moment, marked, widths, model, compared } = state;
  const period = shownPeriod(state, Date.now());
  const points = within(state.history ?? [], period);
  const own = { model, version: shownVersion(state) ?? "" };
  const choices = comparison(state);
  if (points.length === 0) return [choices, alarmTable(state)];
  /** A response may be of what was compared before. @param {ComparedHistory} one */
  const isCompared = (one) => compared.some((other) => nameOf(other) === nameOf(one));
  const large = judged?.large_symmetric_kl ?? 0;
  const others = (state.comparedHistories ?? [])
    .filter(isCompared)
    .map((one) => ({ ...one, points: within(one.points, period) }));
  const frame = {
    ...period,
    large,
    layer: compared.length > 0 ? null : layer,
    moment,
    marked,
    others: others.map((one) => one.points),
    alarms: shownAlarms(state).map(periodOf),
    published: (rollout?.versions ?? []).flatMap(({ version, lineage }) => {
      const at = lineage === null ? 0 : Date.parse(lineage.created_at);
      return at > period.first && at < period.last ? [{ version, at }] : [];
    }),
  };
  const read = readOut(points, moment);
  const records = [{ ...own, points }, ...others].flatMap((one) => one.points.map((point) => record(one, point)));
  return [
    h("p", { class: "readout" }, reading(read, large), others.map(beside(read, period.step))),
    timeline(points, frame, widths.history),
    h(
      "p",
      { class: "key" },
      h("span", { class: "whole" }, compared.length > 0 ? nameOf(own) : "whole network"),
      others.map((one, at) => [", ", h("span", { class: `other-${at}` }, nameOf(one))]),
      frame.layer !== null && [", ", h("span", { class: "own" }, frame.layer)],
      ", ",
      h("span", { class: "shifts" }, "\u25bc changed"),
      ", ",
      frame.alarms.length > 0 && [h("span", { class: "alarms" }, "alarm open"), ", "],
      h("span", { class: "large" }, "size from which a layer raises an alarm"),
      h("span", { class: "muted" }, `. Times in ${zone()}. Drag over the drawing to look at a part of it.`),
    ),
    choices,
    keep(`${model}-drift`, () => records, "svg.timeline"),
    unfoldingTable("Drift over time as a table", COLUMNS, () =>
      points
        .toReversed()
        .map((point) => [
          date(point.time),
          count(point.rows),
          number(point.symmetric_kl),
          isShift(point.verdict) ? "changed" : "",
        ]),
    ),
    alarmTable(state),
  ];
}

/** A moment in words, before its figure. @param {Point} point @param {number} large */
const reading = ({ time, rows, symmetric_kl: size, verdict }, large) => [
  h("strong", null, date(time)),
  `: ${count(rows)} inputs, ${verdict === "not_enough_rows" ? "too few to tell" : sizeInWords(size, large)}`,
  h("span", { class: "muted" }, ` (size ${number(size)})`),
];

/** What else there was at that moment. @param {Point} read @param {number} step milliseconds */
const beside = (read, step) => (/** @type {ComparedHistory} */ one) => {
  const found = one.points.find((point) => Math.abs(endOf(point) - endOf(read)) < step / 2);
  return `; ${nameOf(one)}: ${found === undefined ? "no inputs" : number(found.symmetric_kl)}`;
};

/** A point as a line of a table to keep. @param {{ model: string, version: string }} of @param {Point} point */
const record = ({ model, version }, point) => ({
  model,
  version,
  time: point.time,
  rows: point.rows,
  symmetric_kl: point.symmetric_kl,
  statistic: point.statistic,
  threshold: point.threshold,
  verdict: point.verdict,
  ...point.layers,
});
