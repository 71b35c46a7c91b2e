/** What the service says of a version's inputs, and what it rests on. */

import { sparkline } from "./charts.js";
import { h } from "./dom.js";
import { VERDICTS } from "./drift.js";
import { compact, count, duration, number, percent } from "./format.js";

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
    return [h("p", { class: "headline" }, trouble ? "No verdict" : "\u2026"), trouble && h("p", { class: "message" }, trouble)];
  }
  return [
    h(
      "p",
      { class: "headline", "data-verdict": drift.verdict },
      h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[drift.verdict] ?? "?"),
      VERDICTS[drift.verdict] ?? drift.verdict,
    ),
    h("p", { class: "message" }, drift.message),
    drift.rows > 0 && evidence(drift),
  ];
}

function evidence(drift) {
  const known = (name, value, note) => h("div", null, h("dt", null, name), h("dd", null, value), note && h("dd", { class: "note" }, note));
  const calibrated = drift.threshold !== null && drift.threshold !== undefined;
  return h(
    "dl",
    { class: "facts" },
    known("rows", count(drift.rows), "in this window"),
    known("size", number(drift.symmetric_kl), "symmetric KL, nats"),
    known("distance", number(drift.wasserstein), "Wasserstein, z"),
    calibrated && known("statistic", number(drift.statistic), `alarms above ${number(drift.threshold)}`),
    calibrated &&
      known("false alarms", percent(drift.false_alarm_rate), `of windows: ${perDay(drift.false_alarms_per_day)} a day`),
  );
}

const perDay = (value) => (Number.isFinite(value) ? number(value) : "\u2013");

/** Rate and latency, from what the counters did between two readings. */
export function figures(samples) {
  const steps = samples.slice(1).map((sample, at) => {
    const before = samples[at];
    const seconds = (sample.at - before.at) / 1000;
    const requests = sample.requests - before.requests;
    return {
      rate: requests / seconds,
      rows: (sample.rows - before.rows) / seconds,
      latency: requests > 0 ? (sample.nanoseconds - before.nanoseconds) / requests / 1e9 : NaN,
    };
  });
  const now = recent(steps);
  const latest = samples.at(-1);
  const average = latest?.requests > 0 ? latest.nanoseconds / latest.requests / 1e9 : NaN;
  return [
    figure("Requests", now ? number(now.rate) : "\u2013", "a second", steps.map((one) => one.rate)),
    figure("Rows", now ? number(now.rows) : "\u2013", "a second", steps.map((one) => one.rows)),
    figure(
      "Latency",
      duration(Number.isFinite(now?.latency) ? now.latency : average),
      Number.isFinite(now?.latency) ? "mean, now" : Number.isFinite(average) ? "mean since the start" : "nothing answered yet",
      steps.map((one) => one.latency),
    ),
    figure("Answered", latest ? compact(latest.requests) : "\u2013", latest?.failed ? `${compact(latest.failed)} failed` : "none failed", null),
  ];
}

/** The mean of the last few steps, so that the figures can be read. */
function recent(steps) {
  const last = steps.slice(-3);
  if (!last.length) return null;
  const mean = (name) => {
    const known = last.map((one) => one[name]).filter(Number.isFinite);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : NaN;
  };
  return { rate: mean("rate"), rows: mean("rows"), latency: mean("latency") };
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
