// @ts-check
/** Stretches of time that the history can show. */

/** @import { Range } from "./types" */

/**
 * Which window of the service has the points of each, how long it is and how far its points are apart, in seconds.
 *
 * @type {Record<Range, { name: string, window: "1h" | "1d", seconds: number, step: number }>}
 */
export const RANGES = {
  "15m": { name: "15 minutes", window: "1h", seconds: 900, step: 60 },
  "1h": { name: "1 hour", window: "1h", seconds: 3600, step: 60 },
  "6h": { name: "6 hours", window: "1d", seconds: 21_600, step: 900 },
  "1d": { name: "1 day", window: "1d", seconds: 86_400, step: 900 },
};
