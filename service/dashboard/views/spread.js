// @ts-check
/** How the distribution of one channel has gone over time, beside the reference: most values lie in the bands. */

import { ticks } from "../charts.js";
import { h } from "../dom.js";
import { count, date, number, round, shortDate, signed, time } from "../format.js";
import { keep } from "./keep.js";
import { unfoldingTable } from "./tables.js";

/** @import { ChannelHistory } from "../types" */

const HEIGHT = 170;
const [LEFT, RIGHT, TOP, FLOOR] = [34, 10, 8, HEIGHT - 24];
const DAY_MS = 86_400_000;

/** How far the parts of each window are apart, and how long it is, in milliseconds. @type {Record<ChannelHistory["window"], [number, number]>} */
const TIMES = {
  "1m": [5000, 60_000],
  "1h": [60_000, 3_600_000],
  "1d": [900_000, DAY_MS],
  "30d": [43_200_000, 30 * DAY_MS],
};

/** @param {ChannelHistory} history @param {string} model @param {number} width pixels; 0 before it is known */
export function spread(history, model, width) {
  const { points, reference, channel, layer } = history;
  if (points.length === 0) return null;
  const records = () => points.map((point) => ({ layer, channel, ...point }));
  return [
    h("h3", null, "Over time"),
    h(
      "p",
      { class: "key" },
      h("span", { class: "live" }, "live"),
      reference !== null && [", ", h("span", { class: "reference" }, "reference")],
      h("span", { class: "muted" }, ": two thirds of the values lie in the dark band, 95 % in the light one"),
    ),
    width > 0 && drawing(history, width),
    keep(`${model}-${layer}-${channel}`, records, "svg.spread"),
    unfoldingTable("The channel over time as a table", ["Time", "Mean", "Variance", "Inputs"], () =>
      points
        .toReversed()
        .map((point) => [date(point.time), signed(point.mean), number(point.variance), count(point.rows)]),
    ),
  ];
}

/** @param {ChannelHistory} history @param {number} width */
function drawing({ points, reference, window }, width) {
  const [step, length] = TIMES[window];
  const last = Math.max(Date.now(), Date.parse(points[points.length - 1].time));
  const first = last - length - step;
  const all = reference === null ? points : [...points, reference];
  const deviation = (/** @type {{ variance: number }} */ { variance }) => Math.sqrt(Math.max(variance, 0));
  const low = Math.min(-2, ...all.map((one) => one.mean - 2 * deviation(one)));
  const high = Math.max(2, ...all.map((one) => one.mean + 2 * deviation(one)));
  const x = (/** @type {number} */ at) =>
    LEFT + ((Math.max(at, first) - first) / (last - first)) * (width - LEFT - RIGHT);
  const y = (/** @type {number} */ z) => FLOOR - ((z - low) / (high - low)) * (FLOOR - TOP);
  /** @param {{ mean: number, variance: number }} one @param {number} left @param {number} right @param {string} kind */
  const bands = (one, left, right, kind) =>
    [2, 1].map((many) => {
      const top = y(one.mean + many * deviation(one));
      const height = Math.max(y(one.mean - many * deviation(one)) - top, 1);
      return h("rect", { x: left, width: Math.max(right - left, 1), y: top, height, class: `band ${kind}` });
    });
  const words = points[points.length - 1];
  return h(
    "svg",
    {
      class: "spread",
      viewBox: `0 0 ${width} ${HEIGHT}`,
      width,
      height: HEIGHT,
      role: "img",
      "aria-label": `Mean and spread in ${count(points.length)} parts of time; last mean ${signed(words.mean)}, variance ${number(words.variance)}`,
    },
    reference !== null && bands(reference, LEFT, width - RIGHT, "reference"),
    points.map((point) => {
      const end = Date.parse(point.time);
      const [left, right] = [x(end - step), Math.max(x(end) - 0.5, x(end - step) + 1)];
      return [
        bands(point, left, right, "live"),
        h("line", { x1: left, x2: right, y1: y(point.mean), y2: y(point.mean), class: "mean live" }),
      ];
    }),
    ticks(low, high, 4).map((z) => h("text", { x: LEFT - 8, y: y(z) + 4, "text-anchor": "end" }, round(z))),
    h("line", { x1: LEFT, x2: width - RIGHT, y1: FLOOR, y2: FLOOR, class: "axis" }),
    [first, last].map((at, end) =>
      h(
        "text",
        { x: end ? width - RIGHT : LEFT, y: HEIGHT - 6, "text-anchor": end ? "end" : "start" },
        `${shortDate(at / 1000)}, ${time(at / 1000)}`,
      ),
    ),
  );
}
