// @ts-check
/** The state of a version now: whether an alarm is open, since when, what has changed, and the figures behind it. */

import { link } from "../address.js";
import { h } from "../dom.js";
import { count, date, NONE, number, percent, span } from "../format.js";
import { isShift } from "../scale.js";
import {
  accuracyInWords,
  classesInWords,
  courseInWords,
  layersInWords,
  observedInWords,
  SIGNS,
  VERDICTS,
} from "../words.js";
import { learn } from "./learn.js";
import { explainedFigures } from "./tables.js";

/** @import { Content, Drift, LoadedVersion, Shown, Verdict } from "../types" */

/** What an open alarm is called, whatever the last rows show. @param {Pick<LoadedVersion, "alarm" | "verdict">} found */
const stateOf = ({ alarm, verdict }) => (alarm && !isShift(verdict) ? "covariate_shift" : verdict);

/** The state of a version as a sign and words, for lists. @param {Pick<LoadedVersion, "alarm" | "verdict">} found */
export function badge(found) {
  const state = stateOf(found);
  return h(
    "span",
    { class: "badge", "data-verdict": state },
    h("span", { "aria-hidden": "true" }, `${SIGNS[state]}\u00a0`),
    VERDICTS[state],
  );
}

/** For screen readers: it changes with the state, and not with every figure. @param {Shown} state */
export const announcement = ({ model, judged }) => judged && `${model}: ${VERDICTS[stateOf(judged)]}`;

/** @param {Shown} state */
export function verdict(state) {
  const { judged, judgedFailure } = state;
  if (judged === null) {
    if (judgedFailure === null) return h("p", { class: "headline" }, "\u2026");
    return [h("p", { class: "headline" }, "No verdict"), h("p", { class: "message" }, judgedFailure)];
  }
  const now = stateOf(judged);
  return [
    h(
      "p",
      { class: "headline", "data-verdict": now },
      h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[now]),
      VERDICTS[now],
    ),
    h("p", { class: "message" }, sentence(state, judged, now)),
    now === "not_enough_rows" && progress(judged),
    isShift(now) && answers(state, judged),
    judged.rows > 0 && figures(judged),
  ];
}

/** The last alarm, which has ended, and where to look at it. @param {Drift} judged @param {Content} link */
const lastAlarm = ({ last_alarm: alarm }, link) =>
  alarm !== null &&
  alarm.ended !== null && [
    ` The last alarm ended at ${date(alarm.ended)}, after ${span(alarm.began, alarm.ended)}. ${alarm.end_reason ? `${alarm.end_reason} ` : ""}`,
    link,
  ];

/** @param {Shown} state @param {Drift} judged @param {Verdict} now */
function sentence({ model, version }, judged, now) {
  const history = h("a", { href: link({ model, version, tab: "history" }) }, "Look at it");
  const { rows, alarm_since: since, judged_at: at, significant, window_rows: wanted, unjudged_rows: seen } = judged;
  const last = at === null ? "" : `, at ${date(at)}`;
  switch (now) {
    case "covariate_shift":
    case "label_shift_likely":
      return [
        h("strong", null, since === null ? "No alarm is open." : `Alarm since ${date(since)}, for ${span(since)}.`),
        now === "label_shift_likely"
          ? " Each class looks as before, but some come more often than in the data that the model was checked with."
          : " They differ from the data that the model was checked with, so its answers may be wrong more often.",
        lastAlarm(judged, history),
      ];
    case "quiet":
      return [
        `No alarm. The last ${count(rows)} inputs${last}, ${
          significant ? "differ a little from" : "look like"
        } the data that the model was checked with.${judged.estimated_accuracy === null ? "" : ` ${accuracyInWords(judged.estimated_accuracy)}`}`,
        lastAlarm(judged, history),
      ];
    case "uncalibrated":
      return judged.message;
    default:
      return `No alarm. ${count(seen)} of the ${count(wanted)} inputs that the first verdict needs have been seen.`;
  }
}

/** @param {Drift} judged */
const progress = ({ unjudged_rows: seen, window_rows: wanted }) =>
  h("progress", { max: wanted, value: seen, "aria-label": "Inputs seen towards the first verdict" });

/** What has changed, and whether it matters. @param {Shown} state @param {Drift} judged */
function answers({ model, version, card }, judged) {
  return h(
    "dl",
    { class: "answers" },
    h("dt", null, "What has changed?"),
    h(
      "dd",
      null,
      `${layersInWords(judged)} ${classesInWords(judged.classes)} ${courseInWords(judged.last_alarm)}`,
      h("a", { href: link({ model, version, tab: "layers" }) }, "Look at the layers"),
    ),
    h("dt", null, "Does it matter?"),
    h(
      "dd",
      null,
      consequence(judged.estimated_accuracy, card.training?.metrics.test_accuracy),
      " ",
      learn("accuracy", "How it is estimated"),
    ),
  );
}

/** @param {Drift["estimated_accuracy"]} estimate @param {number | undefined} tested accuracy on the test rows */
function consequence(estimate, tested) {
  if (estimate !== null) return accuracyInWords(estimate);
  const known =
    tested === undefined ? "" : `On the data that it was checked with, ${percent(tested)} of its answers were right. `;
  return `${known}How many are wrong now is not known: check some answers, or re-calibrate and compare.`;
}

/** How many, and what that means. @param {Drift} judged @returns {[string, string]} */
function falseAlarms({
  threshold,
  days_between_false_alarms: days,
  false_alarm_rate: rate,
  false_alarms_per_day: perDay,
}) {
  if (threshold === null) return [NONE, "There are no thresholds, so nothing raises an alarm."];
  if (days !== null) return [`1 in ${number(days)} days`, "So often is there an alarm although nothing has changed."];
  return [
    `${percent(rate)} of windows`,
    `So often is a window over the threshold although nothing has changed: about ${number(perDay)} a day at this traffic. Only those that are large as well raise an alarm.`,
  ];
}

/** @param {Drift} judged */
function figures(judged) {
  const { rows, symmetric_kl: size, wasserstein, large_symmetric_kl: large, statistic, threshold } = judged;
  const accuracy = judged.estimated_accuracy;
  return explainedFigures(
    "drift",
    [
      [
        "Inputs",
        count(rows),
        `Rows of the last full window${judged.judged_at === null ? "" : `, at ${date(judged.judged_at)}`}: what this verdict rests on. ${observedInWords(judged)}`,
      ],
      [
        "Size",
        number(size),
        `How far the layers' inputs are from those seen in training, mean over layers: symmetric KL divergence, in nats. A layer raises an alarm from ${number(large)}.`,
      ],
      [
        "Distance",
        number(wasserstein),
        "The same as a distance: how far values have moved, in standard deviations (2-Wasserstein).",
      ],
      [
        "Accuracy",
        accuracy === null ? NONE : `${percent(accuracy.low)} to ${percent(accuracy.high)}`,
        "Estimated without labels, from how often the model and its re-calibrated twin agree; right nine times of ten for shifts like those that it was learned on.",
      ],
      [
        "Evidence",
        threshold === null ? NONE : `${number(statistic)} of ${number(threshold)}`,
        "Test statistic and its threshold. Above the threshold, chance alone is a poor explanation.",
      ],
      ["False alarms", ...falseAlarms(judged)],
    ],
    learn("drift", "How drift is told from chance"),
  );
}
