/** Drawings in SVG. Each takes its width in pixels, and has a text that says the same. */

import { h } from "./dom.js";
import { moment, number, round, signed, time } from "./format.js";

const path = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** A line without axes, for a column of figures. */
export function sparkline(values, width, height) {
  const known = values.filter(Number.isFinite);
  const top = Math.max(...known, 1e-9);
  const step = width / Math.max(values.length - 1, 1);
  const points = values
    .map((value, at) => [at * step, height - 1.5 - (height - 3) * (value / top), value])
    .filter(([, , value]) => Number.isFinite(value));
  return h(
    "svg",
    { class: "sparkline", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    h("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5, class: "axis" }),
    points.length > 1 && top > 1e-9 && h("path", { d: path(points), class: "line" }),
  );
}

/** Round numbers that divide a range. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.8);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at++) found.push(at * step || 0);
  return found;
}

/** Two normal curves over z: what was remembered as an area, what is seen as a line. */
export function normals(live, reference, width) {
  const height = 210;
  const floor = height - 24;
  const spread = [live, reference].map(({ mean, variance }) => [mean, Math.sqrt(Math.max(variance, 1e-4))]);
  const low = Math.min(-3, ...spread.map(([mean, deviation]) => mean - 3.2 * deviation));
  const high = Math.max(3, ...spread.map(([mean, deviation]) => mean + 3.2 * deviation));
  const x = (z) => ((z - low) / (high - low)) * width;
  const density = (z, [mean, deviation]) => Math.exp(-0.5 * ((z - mean) / deviation) ** 2) / deviation;
  const top = Math.max(...spread.map(([, deviation]) => 1 / deviation));
  const curve = (one) => {
    // Every two pixels, and closely around the middle: a narrow curve must not lose its top.
    const places = Array.from({ length: Math.ceil(width / 2) + 1 }, (_, at) => low + ((high - low) * 2 * at) / width);
    for (let near = -30; near <= 30; near++) places.push(one[0] + (near / 10) * one[1]);
    return places.sort((a, b) => a - b).map((z) => [x(z), floor - (floor - 14) * (density(z, one) / top)]);
  };
  const remembered = curve(spread[1]);
  const words =
    `Live: mean ${signed(live.mean)}, variance ${number(live.variance)}. ` +
    `Reference: mean ${signed(reference.mean)}, variance ${number(reference.variance)}.`;
  const mark = ([mean], name) => h("line", { x1: x(mean), x2: x(mean), y1: 10, y2: floor, class: `mean ${name}` });
  return h(
    "svg",
    { class: "normals", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": words },
    h("path", { d: `${path(remembered)}L${width} ${floor}L0 ${floor}Z`, class: "reference area" }),
    h("path", { d: path(remembered), class: "reference line" }),
    mark(spread[1], "reference"),
    mark(spread[0], "live"),
    h("path", { d: path(curve(spread[0])), class: "live line" }),
    h("line", { x1: 0, x2: width, y1: floor + 0.5, y2: floor + 0.5, class: "axis" }),
    ticks(low, high, Math.max(3, width / 70)).map((z) => [
      h("line", { x1: x(z), x2: x(z), y1: floor, y2: floor + 4, class: "axis" }),
      x(z) > 10 && x(z) < width - 10 && h("text", { x: x(z), y: height - 5, "text-anchor": "middle" }, round(z)),
    ]),
  );
}

/** Drift over time: the whole network, one layer of it, and where an alarm was raised. */
export function timeline(points, layer, width) {
  const height = 190;
  const [left, right, floor] = [44, 8, height - 22];
  const at = points.map((point) => Math.min(moment(point.time).getTime(), Date.now())); // the last one goes on
  const [first, last] = [at[0], Math.max(at.at(-1), at[0] + 60_000)];
  const own = points.map((point) => (layer === null ? null : (point.layers?.[layer] ?? null)));
  const top =
    Math.max(0.02, ...points.map((point) => point.symmetric_kl ?? 0), ...own.map((value) => value ?? 0)) * 1.08;
  const x = (milliseconds) => left + ((milliseconds - first) / (last - first)) * (width - left - right);
  const y = (size) => floor - (size / top) * (floor - 12);
  const line = (values) => {
    const known = values.map((value, index) => [x(at[index]), y(value ?? NaN)]).filter(([, up]) => Number.isFinite(up));
    return known.length === 1 ? path([known[0], [known[0][0] + 2, known[0][1]]]) : path(known);
  };
  const alarms = points.filter((point) => point.alarm).length;
  const latest = points.at(-1);
  const words =
    `Symmetric KL divergence from ${time(points[0].time)} to ${time(latest.time)}: ` +
    `now ${number(latest.symmetric_kl)}; ${alarms} of ${points.length} windows raised an alarm.`;
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
    h("path", { d: line(points.map((point) => point.symmetric_kl)), class: "line" }),
    points.map(
      (point, index) =>
        point.alarm &&
        h(
          "path",
          { d: triangle(x(at[index]), y(point.symmetric_kl ?? 0) - 9), class: "alarm" },
          h("title", null, `Alarm at ${time(point.time)}`),
        ),
    ),
  );
}

const triangle = (x, y) => `M${x} ${y + 4}L${x - 4} ${y - 3}L${x + 4} ${y - 3}Z`;

/** A bar for a share of one, and a mark where it was expected. */
export function bar(share, expected = null) {
  const place = (value) => `${(Math.min(Math.max(value, 0), 1) * 100).toFixed(2)}%`;
  return h(
    "svg",
    { class: "bar", width: "100%", height: 14, "aria-hidden": "true" },
    h("rect", { x: 0, y: 6.5, width: "100%", height: 1, class: "track" }),
    h("rect", { x: 0, y: 3, width: place(share), height: 8, class: "amount" }),
    expected !== null && h("rect", { x: place(expected), y: 0, width: 2, height: 14, class: "expected" }),
  );
}
