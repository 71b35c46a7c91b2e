// @ts-check
/** Drawings in SVG. Each takes its width in pixels, 0 before it is known, and has a text with the same figures. */

import { h } from "./dom.js";
import { number, round, signed } from "./format.js";

/** @param {Array<[number, number]>} points */
export const path = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/**
 * A line without axes, for a column of figures. A gap stays one.
 *
 * @param {number[]} values NaN where there is none
 * @param {number} width
 * @param {number} height
 */
export function sparkline(values, width, height) {
  const top = Math.max(...values.filter(Number.isFinite), 1e-9);
  const step = width / Math.max(values.length - 1, 1);
  /** @type {Array<Array<[number, number]>>} */
  const lines = [[]];
  values.forEach((value, at) => {
    const line = lines[lines.length - 1];
    if (Number.isFinite(value)) line.push([at * step, height - 1.5 - (height - 3) * (value / top)]);
    else if (line.length > 0) lines.push([]);
  });
  return h(
    "svg",
    { class: "sparkline", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    h("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5, class: "axis" }),
    lines
      .filter((line) => line.length > 0 && top > 1e-9)
      .map((line) =>
        h("path", { d: path(line.length > 1 ? line : [...line, [line[0][0] + 2, line[0][1]]]), class: "line" }),
      ),
  );
}

/** Round numbers that divide a range. @param {number} low @param {number} high @param {number} wanted how many */
export function ticks(low, high, wanted) {
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
