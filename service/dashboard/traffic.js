// @ts-check
/** Traffic of every version: from events, or else from the service's counters. */

/** @import { Sample, State, StatisticsList, TrafficEvent } from "./types" */

const KEPT_SAMPLES = 90;

/**
 * What an event of traffic changes.
 *
 * @param {State} state
 * @param {TrafficEvent} event
 * @param {number} at milliseconds
 * @returns {Partial<State>}
 */
export function ingestTraffic(state, { models }, at) {
  return append(
    state,
    models.map((one) => [
      `${one.model}/${one.version}`,
      {
        at,
        requests: one.requests,
        rows: one.rows,
        requestsPerSecond: one.requests_per_second,
        rowsPerSecond: one.rows_per_second,
        p50Ms: one.p50_ms,
        p99Ms: one.p99_ms,
      },
    ]),
  );
}

/**
 * What the counters change: rates are differences between two readings, and latencies are unknown.
 *
 * @param {State} state
 * @param {StatisticsList} counters
 * @param {number} at milliseconds
 * @returns {Partial<State>}
 */
export function ingestCounters(state, { model_stats: counters }, at) {
  return append(
    state,
    counters.map(({ name, version, inference_count: rows, inference_stats: { success, fail } }) => {
      const key = `${name}/${version}`;
      const requests = success.count + fail.count;
      const before = state.traffic[key]?.at(-1) ?? { at: -Infinity, requests, rows };
      const seconds = (at - before.at) / 1000;
      const requestsPerSecond = (requests - before.requests) / seconds;
      const rowsPerSecond = (rows - before.rows) / seconds;
      return [key, { at, requests, rows, requestsPerSecond, rowsPerSecond, p50Ms: null, p99Ms: null }];
    }),
  );
}

/** @param {State} state @param {Array<[string, Sample]>} samples @returns {Partial<State>} */
function append({ traffic }, samples) {
  const appended = samples.map(([key, sample]) => [key, [...(traffic[key] ?? []), sample].slice(-KEPT_SAMPLES)]);
  return { traffic: { ...traffic, ...Object.fromEntries(appended) } };
}
