// @ts-check
/** Stretches of time that the history can show. */

/** @import { HistoryWindow, Period, Range, State } from "./types" */

const HOUR = 3600;
const DAY = 24 * HOUR;

/** How long each is, in seconds. @type {Record<Range, { name: string, seconds: number }>} */
export const RANGES = {
  "15m": { name: "15 minutes", seconds: 900 },
  "1h": { name: "1 hour", seconds: HOUR },
  "6h": { name: "6 hours", seconds: 6 * HOUR },
  "1d": { name: "1 day", seconds: DAY },
  "7d": { name: "7 days", seconds: 7 * DAY },
  "30d": { name: "30 days", seconds: 30 * DAY },
};

/**
 * What the service keeps: how far each window goes back, and how far its points are apart, in seconds.
 *
 * @type {Array<{ window: HistoryWindow, seconds: number, step: number }>}
 */
const WINDOWS = [
  { window: "1h", seconds: HOUR, step: 60 },
  { window: "1d", seconds: DAY, step: 900 },
  { window: "30d", seconds: 30 * DAY, step: 43_200 },
];

/** The earliest time of which anything is kept, in milliseconds since 1970. @param {number} now */
export const earliest = (now) => now - 30 * DAY * 1000;

/**
 * The time that is looked at: what was chosen, or else the range until now; with the finest points that are kept of it.
 *
 * @param {State} state
 * @param {number} now milliseconds since 1970
 * @returns {Period & { window: HistoryWindow, step: number }}
 */
export function shownPeriod({ range, period }, now) {
  const { first, last } = period ?? { first: now - RANGES[range].seconds * 1000, last: now };
  const { window, step } = WINDOWS.find(({ seconds }) => first >= now - (seconds + 1) * 1000) ?? WINDOWS[2];
  return { first, last, window, step: step * 1000 };
}
