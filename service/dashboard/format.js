// @ts-check
/** Numbers and times as text. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

const MINUS = "\u2212";

/** In place of a value that there is none of. */
export const NONE = "\u2013";

/** @typedef {number | null | undefined} MaybeNumber */

/** @param {string} text */
const withMinus = (text) => text.replace("-", MINUS);

/** @param {MaybeNumber} value @returns {value is number} */
const isNumber = (value) => Number.isFinite(value);

/** A count: 12,345. @param {number} value */
export const count = (value) => whole.format(value);

/** A count where there is little room: 12.3K. @param {number} value */
export const compact = (value) => short.format(value);

/** A measured number: two or three significant digits. @param {MaybeNumber} value */
export function number(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e6 || size < 1e-5) return withMinus(value.toExponential(1));
  if (size < 0.001) return withMinus(value.toFixed(size < 1e-4 ? 5 : 4));
  if (size >= 100) return withMinus(whole.format(value));
  return withMinus(value.toFixed(size >= 10 ? 1 : size >= 0.1 ? 2 : 3));
}

/** A number on an axis or a scale: as short as possible. @param {number} value */
export const round = (value) => withMinus(String(Number(value.toPrecision(3))));

/** A measured number with its sign. @param {MaybeNumber} value */
export const signed = (value) => (isNumber(value) && value > 0 ? `+${number(value)}` : number(value));

/** A number in a small cell: at most four characters. @param {number} value */
export function tiny(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size < 0.005) return "0";
  if (size >= 99.5) return "\u226b";
  if (size >= 9.95) return withMinus(value.toFixed(0));
  const text = value.toFixed(size >= 0.995 ? 1 : 2);
  return withMinus(text.replace(/^(-?)0\./, "$1."));
}

/** A share of one: 12.3 %. @param {MaybeNumber} value */
export function percent(value) {
  if (!isNumber(value)) return NONE;
  const hundred = value * 100;
  if (hundred === 0) return "0 %";
  if (hundred < 0.1) return "< 0.1 %";
  return `${hundred.toFixed(hundred >= 99.95 || (hundred >= 10 && Number.isInteger(hundred)) ? 0 : 1)} %`;
}

/** Seconds: 1.2 ms, 3.4 s. @param {MaybeNumber} seconds */
export function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  if (seconds < 1e-3) return `${number(seconds * 1e6)} \u00b5s`;
  if (seconds < 1) return `${number(seconds * 1e3)} ms`;
  return `${number(seconds)} s`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** A time of day. @param {number | string} value seconds since 1970, or ISO 8601 */
export const time = (value) => clock.format(toDate(value));

/** A day without its year. @param {number | string} value */
export const shortDate = (value) => dayOfYear.format(toDate(value));

/** A time as fields of forms have it, in the reader's zone: 2026-11-26T14:05. @param {number} at milliseconds since 1970 */
export const localTime = (at) =>
  new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, "2026-11-26T14:05".length);

/** A time until now, or until an end: 3 minutes, 2 hours, 5 days. @param {string} value ISO 8601 @param {string | null} [end] ISO 8601 */
export function span(value, end = null) {
  const until = end === null ? Date.now() : toDate(end).getTime();
  const seconds = Math.max((until - toDate(value).getTime()) / 1000, 0);
  const [size, unit] = seconds < 5400 ? [60, "minute"] : seconds < 129_600 ? [3600, "hour"] : [86_400, "day"];
  const whole = Math.round(seconds / size);
  if (whole === 0) return "less than a minute";
  return `${count(whole)} ${unit}${whole === 1 ? "" : "s"}`;
}

/** The zone of all times on the page: Europe/Istanbul, UTC+3. */
export function zone() {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const name = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" })
    .formatToParts()
    .find((part) => part.type === "timeZoneName")?.value;
  return name === undefined || timeZone === "UTC" ? timeZone : `${timeZone}, ${name.replace("GMT", "UTC")}`;
}

/** Memory: 123 MB, 1.2 GB. @param {number} bytes */
export const megabytes = (bytes) => (bytes < 1e9 ? `${count(bytes / 1e6)} MB` : `${number(bytes / 1e9)} GB`);

/** A day and a time of day. @param {number | string} value */
export const date = (value) => `${day.format(toDate(value))}, ${time(value)}`;

/** @param {number | string} value seconds since 1970, or ISO 8601 */
export const toDate = (value) => new Date(typeof value === "number" ? value * 1000 : value);
