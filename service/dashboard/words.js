// @ts-check
/** Drift in words. */

import { count, date, percent } from "./format.js";
import { driftEdges, step } from "./scale.js";

/** @import { Alarm, Classes, Drift, EstimatedAccuracy, LayerDrift, Verdict } from "./types" */

/** @type {Record<Verdict, string>} */
export const VERDICTS = {
  quiet: "Inputs as expected",
  label_shift_likely: "The mix of classes has changed",
  covariate_shift: "The inputs have changed",
  not_enough_rows: "Too few inputs yet",
  uncalibrated: "Nothing to compare with",
};

/** @type {Record<Verdict, string>} */
export const SIGNS = {
  quiet: "\u25cb",
  label_shift_likely: "\u25d1",
  covariate_shift: "\u25b2",
  not_enough_rows: "\u2026",
  uncalibrated: "\u2013",
};

const SIZES = ["no change to speak of", "a slight change", "a clear change", "a strong change", "a very strong change"];

/** How large a change is. @param {number} size symmetric KL divergence @param {number} large from which it alarms */
export const sizeInWords = (size, large) => SIZES[step(size, driftEdges(large))];

/** The layer that has changed most. @param {Drift} drift @returns {LayerDrift | null} */
export const mostChanged = ({ layers }) => layers.toSorted((a, b) => b.symmetric_kl - a.symmetric_kl)[0] ?? null;

/** Which layers have changed. @param {Drift} drift */
export function layersInWords(drift) {
  const most = mostChanged(drift);
  if (most === null) return "";
  const changed = drift.layers.filter((layer) => layer.significant).length;
  const size = sizeInWords(most.symmetric_kl, drift.large_symmetric_kl);
  const all = drift.layers.length;
  if (changed === 0) return all === 1 ? "The layer has not changed." : `None of ${count(all)} layers has changed.`;
  const which = all === 1 ? "The layer has changed" : `${count(changed)} of ${count(all)} layers have changed`;
  return `${which}, ${all === 1 ? "" : `${most.name} most: `}${size}.`;
}

/** How much of the traffic the figures rest on. @param {Drift | null} drift */
export const observedInWords = (drift) =>
  drift === null || drift.observed_share === null ? "" : `${percent(drift.observed_share)} of the traffic is observed.`;

/** Where an alarm showed first, and when it was worst. @param {Alarm | null} alarm */
export function courseInWords(alarm) {
  if (alarm === null) return "";
  const { first_layer: first, peak, windows } = alarm;
  const where = first === null ? "" : `It showed first in ${first}. `;
  return `${where}${windows > 1 ? `The worst moment was at ${date(peak.time)}. ` : ""}`;
}

/** How many answers are right, without labels. @param {EstimatedAccuracy} estimate */
export function accuracyInWords({ value, low, high, usual }) {
  const [about, least, most, before] = [value, low, high, usual].map((share) => Math.round(100 * share));
  const estimate = `About ${about} % of the answers are estimated to be right, between ${least} and ${most} %`;
  return usual === 1 ? `${estimate}, relative to undisturbed inputs.` : `${estimate}; usually ${before} % are.`;
}

const NOTABLE_SHARE = 0.05;

/** The classes whose share has changed most. @param {Classes | null} classes */
export function classesInWords(classes) {
  const reference = classes?.reference_shares;
  if (!classes || !reference || !classes.counts.some(Boolean)) return "";
  const [most, next] = classes.labels
    .map((label, at) => ({ label, share: classes.shares[at], before: reference[at] }))
    .filter(({ share, before }) => Math.abs(share - before) >= NOTABLE_SHARE)
    .toSorted((a, b) => Math.abs(b.share - b.before) - Math.abs(a.share - a.before));
  if (most === undefined) return "Every class is predicted about as often as expected.";
  /** @param {typeof most} one */
  const words = ({ label, share, before }) =>
    `${label} for ${percent(share)} of the inputs (expected ${percent(before)})`;
  return `The model now predicts ${words(most)}${next === undefined ? "" : `, and ${words(next)}`}.`;
}
