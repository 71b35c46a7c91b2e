/** What the service says of a version's inputs, and what it rests on. */

import { sparkline } from "./charts.js";
import { h } from "./dom.js";
import { VERDICTS } from "./drift.js";
import { compact, count, duration, NONE, number, percent } from "./format.js";

const SIGNS = {
  quiet: "\u25cb",
  label_shift_likely: "\u25d1",
  covariate_shift: "\u25b2",
  not_enough_rows: "\u2026",
  uncalibrated: "\u2013",
};

/** A verdict as a sign and words, for lists. */
export function badge(drift) {
  if (!drift) return null;
  const words = VERDICTS[drift.verdict] ?? drift.verdict;
  return h(
    "span",
    { class: "badge", "data-verdict": drift.verdict },
    h("span", { "aria-hidden": "true" }, `${SIGNS[drift.verdict] ?? "?"}\u00a0`),
    words,
  );
}

/** The headline. */
export function headline(drift, trouble) {
  if (!drift) {
    return [
      h("p", { class: "headline" }, trouble ? "No verdict" : "\u2026"),
      trouble && h("p", { class: "message" }, trouble),
    ];
  }
  return [
    h(
      "p",
      { class: "headline", "data-verdict": drift.verdict },
      h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[drift.verdict] ?? "?"),
      VERDICTS[drift.verdict] ?? drift.verdict,
    ),
    h(
      "p",
      { class: "message" },
      drift.message,
      drift.significant && !drift.alarm && " A change is significant, but too small for an alarm.",
    ),
    drift.rows > 0 && evidence(drift),
  ];
}

function evidence(drift) {
  const known = (name, value, note) =>
    h("div", null, h("dt", null, name), h("dd", null, value), note && h("dd", { class: "note" }, note));
  const calibrated = drift.threshold !== null && drift.threshold !== undefined;
  return h(
    "dl",
    { class: "facts" },
    known("rows", count(drift.rows), "in the window"),
    known("size", number(drift.symmetric_kl), "symmetric KL"),
    known("distance", number(drift.wasserstein), "Wasserstein"),
    calibrated && known("statistic", number(drift.statistic), `threshold ${number(drift.threshold)}`),
    calibrated &&
      known("false alarms", percent(drift.false_alarm_rate), `that is ${number(drift.false_alarms_per_day)} a day`),
  );
}

/**
 * Rate and latency.
 *
 * @param samples of a second each, the latest last
 * @param done what the version has done since the service started
 */
export function figures(samples, done) {
  const last = samples.slice(-3);
  const mean = (name) => {
    const values = last.map((one) => one[name]).filter(Number.isFinite);
    return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
  };
  const trend = (name) => samples.map((one) => one[name] ?? NaN);
  const median = mean("median");
  const [half, most] = median === null ? [done?.request_ms.p50, done?.request_ms.p99] : [median, mean("most")];
  const latency = Number.isFinite(half) ? duration(half / 1e3) : NONE;
  const within = Number.isFinite(most) ? `99 % within ${duration(most / 1e3)}` : "nothing answered yet";
  return [
    figure("Requests", number(mean("rate")), "a second", trend("rate")),
    figure("Rows", number(mean("rowRate")), "a second", trend("rowRate")),
    figure(
      "Latency",
      latency,
      median === null && Number.isFinite(half) ? `${within}, since the start` : within,
      trend("median"),
    ),
    figure(
      "Answered",
      done ? compact(done.requests) : NONE,
      done?.errors ? `${compact(done.errors)} with an error` : "no errors",
      null,
    ),
  ];
}

function figure(name, value, unit, values) {
  return h(
    "div",
    { class: "figure" },
    h("dt", null, name),
    h("dd", { class: "value" }, value),
    h("dd", { class: "note" }, unit),
    values && h("dd", { class: "trend" }, sparkline(values.slice(-60), 120, 24)),
  );
}
