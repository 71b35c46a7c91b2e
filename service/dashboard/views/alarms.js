// @ts-check
/** The alarms of the time that is looked at: when each began and ended, its worst moment, and where it showed first. */

import { h } from "../dom.js";
import { count, date, NONE, number, percent, span } from "../format.js";
import { shownPeriod } from "../ranges.js";
import { shownVersion } from "../selectors.js";
import { sizeInWords } from "../words.js";
import { keep } from "./keep.js";
import { stackedTable } from "./tables.js";

/** @import { Alarm, Period, Shown } from "../types" */

const COLUMNS = ["Began", "Open for", "Worst at", "Right answers then", "First seen in", "Unusual classes"];

/** Beginning and end, in milliseconds since 1970; an open alarm reaches until now. @param {Alarm} alarm @returns {Period} */
export const periodOf = ({ began, ended }) => ({
  first: Date.parse(began),
  last: ended === null ? Date.now() : Date.parse(ended),
});

/** Those that were open during the time that is looked at, latest first. @param {Shown} state */
export function shownAlarms({ alarms, ...state }) {
  const { first, last } = shownPeriod({ alarms, ...state }, Date.now());
  return alarms.filter((alarm) => periodOf(alarm).last >= first && periodOf(alarm).first <= last).toReversed();
}

/** @param {Shown} state */
export function alarmTable(state) {
  const found = shownAlarms(state);
  if (found.length === 0) return null;
  const { model, judged } = state;
  const version = shownVersion(state);
  return [
    h("h3", null, found.length === 1 ? "1 alarm" : `${count(found.length)} alarms`),
    stackedTable(
      "Alarms",
      COLUMNS,
      found.map((alarm) => [
        date(alarm.began),
        openFor(alarm),
        [date(alarm.peak.time), h("span", { class: "note" }, ` ${severity(alarm, judged?.large_symmetric_kl ?? 0)}`)],
        rightThen(alarm),
        alarm.first_layer ?? NONE,
        alarm.classes.join(", ") || NONE,
      ]),
    ),
    keep(`${model}-alarms`, () => found.map((alarm) => record(model, version, alarm)), "[aria-label=Alarms]"),
  ];
}

/** @param {Alarm} alarm */
const openFor = ({ began, ended, end_reason: reason }) => {
  if (ended === null) return `${span(began)}, still open`;
  return [span(began, ended), reason ? h("span", { class: "note" }, ` ${reason}`) : null];
};

/** @param {Alarm} alarm @param {number} large */
const severity = ({ peak }, large) => (large > 0 ? sizeInWords(peak.symmetric_kl, large) : number(peak.symmetric_kl));

/** Share of right answers in the worst moment. @param {Alarm} alarm */
const rightThen = ({ peak: { estimated_accuracy: estimate } }) =>
  estimate === null ? "not known" : `about ${percent(Math.round(100 * estimate.value) / 100)}`;

/** An alarm as a line of a table to keep. @param {string} model @param {string | null} version @param {Alarm} alarm */
const record = (model, version, { began, ended, end_reason, windows, peak, first_layer, classes }) => ({
  model,
  version,
  began,
  ended,
  end_reason,
  windows,
  worst_at: peak.time,
  symmetric_kl: peak.symmetric_kl,
  significance: peak.significance,
  estimated_accuracy: peak.estimated_accuracy?.value ?? null,
  first_layer,
  classes: classes.join(" "),
});
