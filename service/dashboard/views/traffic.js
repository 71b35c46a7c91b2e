// @ts-check
/** Rates and latency of a version. */

import { sparkline } from "../charts.js";
import { h } from "../dom.js";
import { compact, duration, NONE, number, percent } from "../format.js";
import { recent, shownTraffic, shownVersion } from "../selectors.js";
import { keep } from "./keep.js";

/** @import { Sample, Shown } from "../types" */

const DRAWN = 60;

/** @param {Shown} state */
export function traffic(state) {
  const samples = shownTraffic(state);
  const total = state.rollout?.versions.find((one) => one.version === shownVersion(state)) ?? null;
  const requests = samples.at(-1)?.requests ?? total?.requests ?? null;
  const errors = total?.errors ?? 0;
  const figures = [
    figure("Requests", number(recent(samples, "requestsPerSecond")), "a second", drawn(samples, "requestsPerSecond")),
    figure("Rows", number(recent(samples, "rowsPerSecond")), "a second", drawn(samples, "rowsPerSecond")),
    latency(samples, total?.request_ms ?? null),
    figure(
      "Answered",
      requests === null ? NONE : compact(requests),
      errors > 0 ? `${compact(errors)} with an error` : "no errors",
    ),
    figure("Observed", percent(state.judged?.observed_share), "of the batches, since the start"),
  ];
  const records = () =>
    samples.map(({ at, ...sample }) => ({ seconds_ago: (performance.now() - at) / 1000, ...sample }));
  return [
    h("dl", { id: "figures" }, figures),
    samples.length > 0 && keep(`${state.model}-traffic`, records, "#figures"),
  ];
}

/**
 * Of the last seconds, or since the service started if they had no requests.
 *
 * @param {Sample[]} samples
 * @param {{ p50: number | null, p99: number | null } | null} total milliseconds
 */
function latency(samples, total) {
  const [p50, p99] = [recent(samples, "p50Ms"), recent(samples, "p99Ms")];
  const trend = drawn(samples, "p50Ms");
  if (p50 !== null && p99 !== null) return figure("Latency", duration(p50 / 1e3), `p99 ${duration(p99 / 1e3)}`, trend);
  if (total?.p50 == null || total.p99 === null) return figure("Latency", NONE, "no requests yet", trend);
  return figure("Latency", duration(total.p50 / 1e3), `p99 ${duration(total.p99 / 1e3)}, since the start`, trend);
}

/** @param {Sample[]} samples @param {keyof Sample} name */
const drawn = (samples, name) => samples.slice(-DRAWN).map((one) => one[name] ?? NaN);

/** @param {string} name @param {string} value @param {string} note @param {number[]} [trend] */
function figure(name, value, note, trend) {
  return h(
    "div",
    { class: "figure" },
    h("dt", null, name),
    h("dd", { class: "value" }, value),
    h("dd", { class: "note" }, note),
    trend && h("dd", { class: "trend" }, sparkline(trend, 120, 24)),
  );
}
