// @ts-check
/** The sentence that answers the question of a tab. */

import { h } from "../dom.js";
import { count, date, percent } from "../format.js";
import { shownPeriod } from "../ranges.js";
import { isShift } from "../scale.js";
import { shownVersion } from "../selectors.js";
import { update } from "../state.js";
import { layersInWords, mostChanged, observedInWords } from "../words.js";
import { choice } from "./choice.js";
import { shownPoints } from "./history.js";
import { periodPicker } from "./period.js";

/** @import { HistoryWindow, Shown, Window } from "../types" */

/** @type {Record<Window, string>} */
const WINDOWS = { "1m": "1 minute", "1h": "1 hour", "1d": "1 day", "30d": "30 days", start: "since start" };

/** What the points of the history stand for. @type {Record<HistoryWindow, [one: string, many: string]>} */
const PARTS = {
  "1m": ["part", "parts"],
  "1h": ["minute", "minutes"],
  "1d": ["quarter of an hour", "quarters of an hour"],
  "30d": ["half day", "half days"],
};

/** What have the layers seen? @param {Shown} state */
export function layersLead(state) {
  const { drift, window } = state;
  return [
    h("p", { class: "lead" }, drift === null ? "\u2026" : layersSentence(drift), observed(drift)),
    choice("window", "Window of time", WINDOWS, window, (window) => update({ window })),
  ];
}

/** How much of the traffic the sentence rests on. @param {Shown["drift"]} drift */
const observed = (drift) => [" ", h("span", { class: "muted observed" }, observedInWords(drift))];

/** @param {NonNullable<Shown["drift"]>} drift */
function layersSentence(drift) {
  const { rows, verdict } = drift;
  const seen = `${count(rows)} ${rows === 1 ? "input was" : "inputs were"} observed.`;
  if (rows === 0) return "No inputs were observed in this time.";
  if (verdict === "not_enough_rows") return `${seen} That is too few to tell a change from chance.`;
  if (verdict === "uncalibrated") {
    const most = mostChanged(drift);
    return `${seen} There are no thresholds${most === null ? "" : `; ${most.name} differs most from training`}.`;
  }
  return `${seen} ${layersInWords(drift)}`;
}

/** When did it change? @param {Shown} state */
export const historyLead = (state) => [
  h("p", { class: "lead" }, historySentence(state), observed(state.judged)),
  periodPicker(state),
];

/** @param {Shown} state */
function historySentence(state) {
  if (state.history === null) return "\u2026";
  const points = shownPoints(state);
  if (points.length === 0) return "No inputs were observed in this time.";
  const shifts = points.filter(({ verdict }) => isShift(verdict));
  const [one, many] = PARTS[shownPeriod(state, Date.now()).window];
  const parts = `${count(points.length)} ${points.length === 1 ? one : many}`;
  if (shifts.length === 0) return `Inputs were as expected in all ${parts} with traffic.`;
  return `Inputs had changed in ${count(shifts.length)} of ${parts} with traffic, last at ${date(shifts[shifts.length - 1].time)}.`;
}

/** Which version answers? @param {Shown} state */
export function versionsLead(state) {
  const { rollout } = state;
  if (rollout === null) return h("p", { class: "lead" }, "\u2026");
  const { auto, canary, domains, shadow } = rollout;
  const rest = canary === null ? "every request" : `${percent(1 - canary.share)} of the requests`;
  return h(
    "p",
    { class: "lead" },
    `Version ${rollout.default} answers ${rest}`,
    canary !== null && `, version ${canary.version} the other ${percent(canary.share)}`,
    domains.length > 0 && `, except for the rows that fit version ${domains.join(" or ")}`,
    shadow !== null && `; version ${shadow} runs beside it, to be compared`,
    ".",
    auto !== null && ` Auto mode ${auto === "paused" ? "has paused, since someone changed this" : `is on: ${auto}`}.`,
  );
}

/** What does it answer? @param {Shown} state */
export const tryLead = (state) =>
  h(
    "p",
    { class: "lead" },
    `Send version ${shownVersion(state)} something, and see its answer and what each layer makes of it.`,
  );
