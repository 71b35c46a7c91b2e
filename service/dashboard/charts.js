// @ts-check
/** Drawings in SVG. Each takes its width in pixels, 0 before it is known, and has a text with the same figures. */

import { h } from "./dom.js";
import { number, round, signed, time, toDate } from "./format.js";
import { isShift } from "./scale.js";

/** @import { Point } from "./types" */

/** @param {Array<[number, number]>} points */
const path = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/**
 * A line without axes, for a column of figures.
 *
 * @param {number[]} values NaN where there is none
 * @param {number} width
 * @param {number} height
 */
export function sparkline(values, width, height) {
  const top = Math.max(...values.filter(Number.isFinite), 1e-9);
  const step = width / Math.max(values.length - 1, 1);
  const points = values.flatMap((value, at) =>
    Number.isFinite(value)
      ? [/** @type {[number, number]} */ ([at * step, height - 1.5 - (height - 3) * (value / top)])]
      : [],
  );
  return h(
    "svg",
    { class: "sparkline", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    h("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5, class: "axis" }),
    points.length > 1 && top > 1e-9 && h("path", { d: path(points), class: "line" }),
  );
}

/** Round numbers that divide a range. @param {number} low @param {number} high @param {number} wanted how many */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.8) ?? 10 * power;
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at++) found.push(at * step || 0);
  return found;
}

/** @typedef {{ mean: number, variance: number }} Normal */

/**
 * Two normal curves over z: the reference as an area, live as a line.
 *
 * @param {Normal} live
 * @param {Normal} reference
 * @param {number} width
 */
export function normals(live, reference, width) {
  if (width === 0) return null;
  const height = 210;
  const floor = height - 24;
  const curves = [live, reference].map(({ mean, variance }) => ({
    mean,
    deviation: Math.sqrt(Math.max(variance, 1e-4)),
  }));
  const low = Math.min(-3, ...curves.map(({ mean, deviation }) => mean - 3.2 * deviation));
  const high = Math.max(3, ...curves.map(({ mean, deviation }) => mean + 3.2 * deviation));
  const top = Math.max(...curves.map(({ deviation }) => 1 / deviation));
  /** @param {number} z */
  const x = (z) => ((z - low) / (high - low)) * width;
  const [livePath, referencePath] = curves.map(({ mean, deviation }) => {
    // Every two pixels, and closely around the middle: a narrow curve must not lose its top.
    const places = Array.from({ length: Math.ceil(width / 2) + 1 }, (_, at) => low + ((high - low) * 2 * at) / width);
    for (let near = -30; near <= 30; near++) places.push(mean + (near / 10) * deviation);
    const density = (/** @type {number} */ z) => Math.exp(-0.5 * ((z - mean) / deviation) ** 2) / deviation;
    places.sort((a, b) => a - b);
    return path(places.map((z) => [x(z), floor - (floor - 14) * (density(z) / top)]));
  });
  const words =
    `Live: mean ${signed(live.mean)}, variance ${number(live.variance)}. ` +
    `Reference: mean ${signed(reference.mean)}, variance ${number(reference.variance)}.`;
  /** @param {Normal} curve @param {string} name */
  const mark = ({ mean }, name) => h("line", { x1: x(mean), x2: x(mean), y1: 10, y2: floor, class: `mean ${name}` });
  return h(
    "svg",
    { class: "normals", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": words },
    h("path", { d: `${referencePath}L${width} ${floor}L0 ${floor}Z`, class: "reference area" }),
    h("path", { d: referencePath, class: "reference line" }),
    mark(reference, "reference"),
    mark(live, "live"),
    h("path", { d: livePath, class: "live line" }),
    h("line", { x1: 0, x2: width, y1: floor + 0.5, y2: floor + 0.5, class: "axis" }),
    ticks(low, high, Math.max(3, width / 70)).map((z) => [
      h("line", { x1: x(z), x2: x(z), y1: floor, y2: floor + 4, class: "axis" }),
      x(z) > 10 && x(z) < width - 10 && h("text", { x: x(z), y: height - 5, "text-anchor": "middle" }, round(z)),
    ]),
  );
}

/**
 * Drift over time: the whole network, one layer of it, and where the rows had shifted.
 *
 * @param {Point[]} points at least one
 * @param {string | null} layer
 * @param {number} width
 */
export function timeline(points, layer, width) {
  if (width === 0) return null;
  const height = 190;
  const [left, right, floor] = [44, 8, height - 22];
  const times = points.map((point) => Math.min(toDate(point.time).getTime(), Date.now())); // the last one is not over
  const first = times[0];
  const last = Math.max(times[times.length - 1], first + 60_000);
  const whole = points.map((point) => point.symmetric_kl);
  const own = points.map((point) => (layer === null ? undefined : point.layers[layer]) ?? NaN);
  const top = Math.max(0.02, ...[...whole, ...own].filter(Number.isFinite)) * 1.08;
  /** @param {number} milliseconds */
  const x = (milliseconds) => left + ((milliseconds - first) / (last - first)) * (width - left - right);
  /** @param {number} size */
  const y = (size) => floor - (size / top) * (floor - 12);
  /** @param {number[]} values */
  const line = (values) => {
    const places = values.flatMap((value, at) =>
      Number.isFinite(value) ? [/** @type {[number, number]} */ ([x(times[at]), y(value)])] : [],
    );
    if (places.length === 1) places.push([places[0][0] + 2, places[0][1]]);
    return path(places);
  };
  const shifts = points.filter((point) => isShift(point.verdict)).length;
  const latest = points[points.length - 1];
  const words =
    `Symmetric KL divergence from ${time(points[0].time)} to ${time(latest.time)}: ` +
    `now ${number(latest.symmetric_kl)}; ${shifts} of ${points.length} parts have shifted.`;
  return h(
    "svg",
    { class: "timeline", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": words },
    ticks(0, top, 4).map((size) => [
      h("line", { x1: left, x2: width - right, y1: y(size), y2: y(size), class: size === 0 ? "axis" : "grid" }),
      h("text", { x: left - 8, y: y(size) + 4, "text-anchor": "end" }, round(size)),
    ]),
    [0, 0.5, 1].map((share) => {
      const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
      const when = first + share * (last - first);
      return h("text", { x: x(when), y: height - 5, "text-anchor": anchor }, time(when / 1000, last - first));
    }),
    layer !== null && h("path", { d: line(own), class: "line own" }),
    h("path", { d: line(whole), class: "line" }),
    points.map(
      (point, at) =>
        isShift(point.verdict) &&
        h(
          "path",
          { d: triangle(x(times[at]), y(point.symmetric_kl) - 9), class: "shift" },
          h("title", null, `Shifted at ${time(point.time)}`),
        ),
    ),
  );
}

/** @param {number} x @param {number} y */
const triangle = (x, y) => `M${x} ${y + 4}L${x - 4} ${y - 3}L${x + 4} ${y - 3}Z`;

/**
 * A bar for a share of one, and a mark where it was expected.
 *
 * @param {number} share
 * @param {number | null} [expected]
 */
export function bar(share, expected = null) {
  /** @param {number} value */
  const place = (value) => `${(Math.min(Math.max(value, 0), 1) * 100).toFixed(2)}%`;
  return h(
    "svg",
    { class: "bar", width: "100%", height: 14, "aria-hidden": "true" },
    h("rect", { x: 0, y: 6.5, width: "100%", height: 1, class: "track" }),
    h("rect", { x: 0, y: 3, width: place(share), height: 8, class: "amount" }),
    expected !== null && h("rect", { x: place(expected), y: 0, width: 2, height: 14, class: "expected" }),
  );
}
