/** Numbers and times as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

const MINUS = "\u2212";
export const NONE = "\u2013";

const minus = (text) => text.replace("-", MINUS);

/** A count: 12,345. */
export const count = (value) => whole.format(value);

/** A count where there is little room: 12.3K. */
export const compact = (value) => short.format(value);

/** A measured number: two or three digits that matter. */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e6 || size < 1e-5) return minus(value.toExponential(1));
  if (size < 0.001) return minus(value.toFixed(size < 1e-4 ? 5 : 4));
  if (size >= 100) return minus(whole.format(value));
  return minus(value.toFixed(size >= 10 ? 1 : size >= 0.1 ? 2 : 3));
}

/** A number on an axis or a scale: as short as it can be. */
export const round = (value) => minus(String(Number(value.toPrecision(3))));

/** A measured number with its sign. */
export const signed = (value) => (value > 0 ? `+${number(value)}` : number(value));

/** A number in a small cell: at most four characters. */
export function tiny(value) {
  if (!Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (size < 0.005) return "0";
  if (size >= 99.5) return "\u226b";
  if (size >= 9.95) return minus(value.toFixed(0));
  const text = value.toFixed(size >= 0.995 ? 1 : 2);
  return minus(text.replace(/^(-?)0\./, "$1."));
}

/** A share of one: 12.3 %. */
export function percent(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const hundred = value * 100;
  if (hundred === 0) return "0 %";
  if (hundred < 0.1) return "< 0.1 %";
  return `${hundred.toFixed(hundred >= 99.95 || (hundred >= 10 && Number.isInteger(hundred)) ? 0 : 1)} %`;
}

/** Seconds: 1.2 ms, 3.4 s. */
export function duration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return NONE;
  if (seconds < 1e-3) return `${number(seconds * 1e6)} \u00b5s`;
  if (seconds < 1) return `${number(seconds * 1e3)} ms`;
  return `${number(seconds)} s`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const stopwatch = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** A time of day, from seconds since 1970 or ISO 8601; with seconds where the span of milliseconds is short. */
export const time = (value, span = Infinity) => (span < 300_000 ? stopwatch : clock).format(moment(value));

/** A day and a time of day. */
export const date = (value) => `${day.format(moment(value))}, ${time(value)}`;

/** A Date. */
export const moment = (value) => new Date(typeof value === "number" ? value * 1000 : value);
