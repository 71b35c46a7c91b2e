// @ts-check
/** The verdict on the inputs of a version, and the figures that it rests on. */

import { h } from "../dom.js";
import { count, number, percent } from "../format.js";
import { isShift } from "../scale.js";
import { factList } from "./tables.js";

/** @import { Drift, Shown, Verdict } from "../types" */

/** @type {Record<Verdict, string>} */
const WORDS = {
  quiet: "Quiet",
  label_shift_likely: "Label shift likely",
  covariate_shift: "The inputs have shifted",
  not_enough_rows: "Not enough rows yet",
  uncalibrated: "Uncalibrated",
};

/** @type {Record<Verdict, string>} */
const SIGNS = {
  quiet: "\u25cb",
  label_shift_likely: "\u25d1",
  covariate_shift: "\u25b2",
  not_enough_rows: "\u2026",
  uncalibrated: "\u2013",
};

/** A verdict as a sign and words, for lists. @param {Verdict} verdict */
export const badge = (verdict) =>
  h(
    "span",
    { class: "badge", "data-verdict": verdict },
    h("span", { "aria-hidden": "true" }, `${SIGNS[verdict]}\u00a0`),
    WORDS[verdict],
  );

/** For screen readers: it changes with the verdict, and not with every figure. @param {Shown} state */
export const announcement = ({ model, drift }) =>
  drift && `${model}: ${drift.alarm && !isShift(drift.verdict) ? "An alarm is open" : WORDS[drift.verdict]}`;

/** @param {Shown} state */
export function verdict({ drift, driftFailure }) {
  if (drift === null) {
    if (driftFailure === null) return h("p", { class: "headline" }, "\u2026");
    return [h("p", { class: "headline" }, "No verdict"), h("p", { class: "message" }, driftFailure)];
  }
  const isOver = drift.alarm && !isShift(drift.verdict); // an alarm is open, although these rows show none
  const shown = isOver ? "covariate_shift" : drift.verdict;
  return [
    h(
      "p",
      { class: "headline", "data-verdict": shown },
      h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[shown]),
      isOver ? "An alarm is open" : WORDS[shown],
    ),
    h("p", { class: "message" }, isOver && "In the window that is shown: ", drift.message),
    drift.rows > 0 && evidence(drift),
  ];
}

/** @param {Drift["estimated_accuracy"]} found @returns {Array<[string, string, string]>} */
const accuracy = (found) =>
  found ? [["estimated accuracy", percent(found.value), `${percent(found.low)} to ${percent(found.high)}`]] : [];

/** @param {Drift} drift */
function evidence(drift) {
  const isCalibrated = drift.threshold !== null;
  return factList([
    ["rows", count(drift.rows), "in the window"],
    ["size", number(drift.symmetric_kl), "symmetric KL"],
    ["distance", number(drift.wasserstein), "Wasserstein"],
    ...accuracy(drift.estimated_accuracy),
    ...(isCalibrated
      ? /** @type {Array<[string, string, string]>} */ ([
          ["statistic", number(drift.statistic), `threshold ${number(drift.threshold)}`],
          ["false-alarm rate", percent(drift.false_alarm_rate), `about ${number(drift.false_alarms_per_day)} a day`],
        ])
      : []),
  ]);
}
