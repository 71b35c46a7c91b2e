// @ts-check
/** What the queries have in common: when a request is due, and the paths below those of the version that is shown. */

import { pathOf } from "./api.js";
import { isActive, selectedLayer, shownPath } from "./selectors.js";

/** @import { Query, State, Tab } from "./types" */

export const FAST_MS = 2000;
export const SLOW_MS = 10_000;

/** For responses that do not change. */
export const once = () => Infinity;
export const slowly = () => SLOW_MS;

/** Often while the version has traffic; without, only the windows of time move on. @param {State} state */
export const paced = (state) => (isActive(state) ? FAST_MS : SLOW_MS);

/**
 * @template Body
 * @param {Omit<Query<Body>, "fail"> & Partial<Query<Body>>} written by default, an error response changes nothing
 * @returns {Query<Body>}
 */
export const query = (written) => ({ fail: () => ({}), ...written });

/** Path below that of the version that is shown. @param {State} state @param {string} rest */
export function below(state, rest) {
  const path = shownPath(state);
  return path === null ? null : `${path}${rest}`;
}

/** Path below that of the layer that is selected. @param {State} state @param {string} rest */
export function belowLayer(state, rest) {
  const layer = selectedLayer(state);
  return layer === null ? null : below(state, `/layers/${encodeURIComponent(layer.name)}${rest}`);
}

/** A path, while its tab is open. @param {State} state @param {Tab} tab @param {string | null} path */
export const onTab = (state, tab, path) => (state.tab === tab ? path : null);

/** Path below that of the model. @param {State} state @param {string} rest */
export function belowModel(state, rest) {
  return state.model === null || shownPath(state) === null ? null : `${pathOf(state.model)}${rest}`;
}
