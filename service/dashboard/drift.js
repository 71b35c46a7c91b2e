/** Drift in words and steps. The arithmetic that alarms is the service's; this only shows its figures. */

/** Verdicts of the service, as a headline. */
export const VERDICTS = {
  quiet: "Quiet",
  label_shift_likely: "Label shift likely",
  covariate_shift: "The inputs have shifted",
  not_enough_rows: "Not enough rows yet",
  uncalibrated: "Uncalibrated",
};

/** Edges between the steps of the scale, in symmetric KL divergence (nats). From 0.05, a shift is worth an alarm. */
export const EDGES = [0.02, 0.05, 0.3, 1];

/** The step of a size, 0 to 4. */
export function step(size) {
  return EDGES.filter((edge) => size >= edge).length;
}

/** Edges between the steps of a change of sign, in z units and in powers of two alike. */
export const SIGNED_EDGES = [0.1, 0.3, 1];

/** The step of a change, -3 to 3. */
export function signedStep(change) {
  return Math.sign(change) * SIGNED_EDGES.filter((edge) => Math.abs(change) >= edge).length;
}

/** Symmetric KL divergence of two normal distributions, in nats: half the sum of both directions, as models/drift.py. */
export function symmetricKl(mean, variance, referenceMean, referenceVariance) {
  const r = Math.max(referenceVariance, 1e-6);
  const v = Math.max(variance, 0.01 * r);
  const square = (mean - referenceMean) ** 2;
  return ((v + square) / r + (r + square) / v - 2) / 4;
}

/** Where a layer has no reference: what normalisation was trained to give. */
export function referenceOf(layer) {
  const channels = layer.channels.mean.length;
  return layer.reference ?? { mean: Array(channels).fill(0), variance: Array(channels).fill(1), rows: null };
}
