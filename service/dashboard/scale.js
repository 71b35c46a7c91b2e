// @ts-check
/** Steps of colour for figures of drift. */

/** @import { Drift, Verdict } from "./types" */

/** Edges between the steps of a size, relative to the size from which a significant change raises an alarm. */
const RELATIVE_EDGES = [0.4, 1, 6, 20];

/** Edges between the steps of a change with a sign, in reference deviations and in powers of two alike. */
export const SIGNED_EDGES = [0.1, 0.3, 1];

/**
 * Edges between the steps of a symmetric KL divergence, in nats.
 *
 * @param {number} large the size from which the service raises an alarm
 */
export const driftEdges = (large) => RELATIVE_EDGES.map((edge) => edge * large);

/** The step of a size: 0 to the number of edges. @param {number} size @param {number[]} edges */
export const step = (size, edges) => edges.filter((edge) => size >= edge).length;

/** The step of a change, -3 to 3. @param {number} change */
export const signedStep = (change) => Math.sign(change) * step(Math.abs(change), SIGNED_EDGES);

/** Whether chance alone may colour everything. @param {Drift} drift */
export const hasTooFewRows = ({ verdict }) => verdict === "not_enough_rows";

/** Whether a verdict is a shift that is worth an alarm. @param {Verdict} verdict */
export const isShift = (verdict) => verdict === "label_shift_likely" || verdict === "covariate_shift";
