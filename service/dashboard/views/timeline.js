// @ts-check
/** Drift over time as a drawing: gaps are gaps, and the point under the pointer or the arrow keys is read out. */

import { path, ticks } from "../charts.js";
import { h } from "../dom.js";
import { date, number, round, shortDate, time } from "../format.js";
import { isShift } from "../scale.js";
import { current, update } from "../state.js";

/** @import { Period, Point, Properties } from "../types" */

const HEIGHT = 240;
const [LEFT, RIGHT, TOP, FLOOR] = [44, 10, 18, HEIGHT - 26];
const SHORTEST_DRAG = 12;

/**
 * @typedef {object} Frame
 * @property {number} first start of the time that is shown, in milliseconds since 1970
 * @property {number} last its end
 * @property {number} step between two points, in milliseconds
 * @property {number} large size from which a change raises an alarm
 * @property {string | null} layer drawn besides the whole network
 * @property {Array<{ version: string, at: number }>} published versions, and when each was made
 * @property {number | null} moment end of the point that is read out; null for the latest
 * @property {Point[][]} others points of what is compared
 * @property {Period[]} alarms when each was open
 * @property {Period | null} marked part that is being chosen with the pointer
 */

/** End of a point, in milliseconds since 1970. @param {Point} point */
export const endOf = (point) => Date.parse(point.time);

/** The point that is read out. @param {Point[]} points at least one @param {number | null} moment */
export const readOut = (points, moment) => points.find((point) => endOf(point) === moment) ?? points[points.length - 1];

/**
 * @param {Point[]} points at least one, oldest first
 * @param {Frame} frame
 * @param {number} width pixels; 0 before it is known
 */
export function timeline(points, frame, width) {
  if (width === 0) return null;
  const { first, last, large, layer, others, marked } = frame;
  const sizes = [...points, ...others.flat()].flatMap((point) => [
    point.symmetric_kl,
    (layer === null ? null : point.layers[layer]) ?? 0,
  ]);
  const top = Math.max(large * 1.5, ...sizes) * 1.08;
  const inner = width - LEFT - RIGHT;
  /** @param {number} at */
  const x = (at) => LEFT + ((Math.min(Math.max(at, first), last) - first) / (last - first)) * inner;
  /** @param {number} size */
  const y = (size) => FLOOR - Math.sqrt(Math.max(size, 0) / top) * (FLOOR - TOP); // so that small changes are seen beside large ones
  /** The middle of the part of time that a point stands for. @param {Point} point */
  const middle = (point) => x(endOf(point) - frame.step / 2);
  /** @param {Point[]} drawn @param {(point: Point) => number | undefined} size @param {string} kind */
  const lines = (drawn, size, kind) =>
    stretches(drawn, frame.step).map((stretch) => {
      const places = stretch.flatMap((point) => {
        const found = size(point);
        return found === undefined ? [] : [/** @type {[number, number]} */ ([middle(point), y(found)])];
      });
      if (places.length === 1) return h("circle", { cx: places[0][0], cy: places[0][1], r: 2.5, class: `dot ${kind}` });
      return h("path", { d: path(places), class: `line ${kind}` });
    });
  const read = readOut(points, frame.moment);
  return h(
    "svg",
    {
      class: "timeline",
      viewBox: `0 0 ${width} ${HEIGHT}`,
      width,
      height: HEIGHT,
      ...slider(points, read, (place) => first + (Math.min(Math.max(place - LEFT, 0), inner) / inner) * (last - first)),
    },
    frame.alarms.map((alarm) => {
      const width = Math.max(x(alarm.last) - x(alarm.first), 2);
      return h("rect", { x: x(alarm.first), width, y: TOP, height: FLOOR - TOP, class: "alarm" });
    }),
    ticks(0, top, 4).map((size) => [
      h("line", { x1: LEFT, x2: width - RIGHT, y1: y(size), y2: y(size), class: size === 0 ? "axis" : "grid" }),
      h("text", { x: LEFT - 8, y: y(size) + 4, "text-anchor": "end" }, round(size)),
    ]),
    h("line", { x1: LEFT, x2: width - RIGHT, y1: y(large), y2: y(large), class: "threshold" }),
    timeTicks(first, last, width).map(({ at, text }) => [
      h("line", { x1: x(at), x2: x(at), y1: FLOOR, y2: FLOOR + 4, class: "axis" }),
      h("text", { x: x(at), y: HEIGHT - 6, "text-anchor": "middle" }, text),
    ]),
    frame.published.map(({ version, at }) => [
      h("line", { x1: x(at), x2: x(at), y1: TOP, y2: FLOOR, class: "published" }),
      h(
        "text",
        x(at) > width / 2 ? { x: x(at) - 4, y: 10, "text-anchor": "end" } : { x: x(at) + 4, y: 10 },
        `version ${version}`,
      ),
    ]),
    layer !== null && lines(points, (point) => point.layers[layer], "own"),
    others.map((compared, at) => lines(compared, (point) => point.symmetric_kl, `other-${at}`)),
    lines(points, (point) => point.symmetric_kl, "whole"),
    points
      .filter(({ verdict }) => isShift(verdict))
      .map((point) => h("path", { d: triangle(middle(point), y(point.symmetric_kl) - 9), class: "shift" })),
    h("line", { x1: middle(read), x2: middle(read), y1: TOP, y2: FLOOR, class: "moment" }),
    h("circle", { cx: middle(read), cy: y(read.symmetric_kl), r: 4, class: "moment" }),
    marked &&
      h("rect", {
        x: x(marked.first),
        width: x(marked.last) - x(marked.first),
        y: TOP,
        height: FLOOR - TOP,
        class: "marked",
      }),
  );
}

/** Points without a part in between that nothing was observed in. @param {Point[]} points @param {number} step */
function stretches(points, step) {
  /** @type {Point[][]} */
  const found = [];
  for (const point of points) {
    const before = found.at(-1)?.at(-1);
    if (before !== undefined && endOf(point) - endOf(before) < 1.5 * step) found[found.length - 1].push(point);
    else found.push([point]);
  }
  return found;
}

/** Where a drag of the pointer has begun, in pixels from the left. @type {number | null} */
let dragged = null;

/**
 * The arrow keys and the pointer choose the point that is read out; dragging the pointer chooses the time that is shown.
 *
 * @param {Point[]} points
 * @param {Point} read
 * @param {(place: number) => number} timeAt milliseconds since 1970 at a place from the left, in pixels
 * @returns {Properties}
 */
function slider(points, read, timeAt) {
  const at = points.indexOf(read);
  /** @param {number} place */
  const choose = (place) => update({ moment: endOf(points[Math.min(Math.max(place, 0), points.length - 1)]) });
  /** @param {PointerEvent & { currentTarget: SVGElement }} event */
  const placeOf = (event) => event.clientX - event.currentTarget.getBoundingClientRect().left;
  return {
    role: "slider",
    tabindex: 0,
    "aria-label": "Change of the inputs over time",
    "aria-valuemin": 0,
    "aria-valuemax": points.length - 1,
    "aria-valuenow": at,
    "aria-valuetext": `${date(read.time)}: ${number(read.symmetric_kl)}${isShift(read.verdict) ? ", changed" : ""}`,
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: points.length - 1 }[event.key];
      if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      choose(to);
    },
    onpointerdown: (/** @type {PointerEvent & { currentTarget: SVGElement }} */ event) => {
      dragged = event.pointerType === "mouse" ? placeOf(event) : null; // a finger scrolls
    },
    onpointermove: (/** @type {PointerEvent & { currentTarget: SVGElement }} */ event) => {
      const place = placeOf(event);
      if (dragged !== null && Math.abs(place - dragged) >= SHORTEST_DRAG) {
        update({ marked: { first: timeAt(Math.min(place, dragged)), last: timeAt(Math.max(place, dragged)) } });
        return;
      }
      const wanted = timeAt(place);
      const distances = points.map((point) => Math.abs(endOf(point) - wanted));
      choose(distances.indexOf(Math.min(...distances)));
    },
    onpointerup: () => {
      const { marked } = current();
      dragged = null;
      if (marked !== null) update({ period: marked, marked: null, moment: null });
    },
    onpointerleave: () => {
      dragged = null;
      update({ moment: null, marked: null });
    },
  };
}

const MINUTE = 60_000;
const DAY = 1440;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, DAY, 2 * DAY, 5 * DAY, 7 * DAY].map((one) => one * MINUTE);

/** Round times of the reader's zone; the first one, and each that begins a day, with its date. @param {number} first @param {number} last @param {number} width */
function timeTicks(first, last, width) {
  const wanted = Math.max(2, Math.floor(width / 110));
  const step = STEPS.find((size) => (last - first) / size <= wanted) ?? STEPS[STEPS.length - 1];
  const offset = new Date(first).getTimezoneOffset() * MINUTE;
  /** @type {Array<{ at: number, text: string }>} */
  const found = [];
  for (let at = Math.ceil((first - offset) / step) * step + offset; at <= last; at += step) {
    const isDated = found.length === 0 || (at - offset) % (DAY * MINUTE) === 0;
    const day = shortDate(at / 1000);
    const text = step >= DAY * MINUTE ? day : isDated ? `${day}, ${time(at / 1000)}` : time(at / 1000);
    found.push({ at, text });
  }
  return found;
}

/** @param {number} x @param {number} y */
const triangle = (x, y) => `M${x} ${y + 4}L${x - 4} ${y - 3}L${x + 4} ${y - 3}Z`;
