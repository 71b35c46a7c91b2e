// @ts-check
/** What follows from the state. */

import { pathOf } from "./api.js";

/** @import { Drift, Layer, LoadedVersion, ObservedLayer, Sample, Section, State } from "./types" */

const ACTIVE_SAMPLES = 10;

/** Names of all models in the repository. @param {State} state */
export const modelNames = (state) => [...new Set((state.index ?? []).map((entry) => entry.name))];

/** Versions of a model in the repository. @param {State} state @param {string | null} name */
export const indexOf = (state, name) => (state.index ?? []).filter((entry) => entry.name === name);

/** @param {State} state @param {string} name */
export const isLoaded = (state, name) => state.loaded.some((one) => one.model === name);

/**
 * The version that answers requests which name only the model.
 *
 * @param {State} state
 * @param {string | null} name
 * @returns {LoadedVersion | null}
 */
export const defaultVersion = (state, name) => state.loaded.find((one) => one.model === name && one.is_default) ?? null;

/**
 * The version that the page shows: the selected one, or the default. Null where it is not loaded.
 *
 * @param {State} state
 * @returns {string | null}
 */
export function shownVersion(state) {
  const { model, version } = state;
  if (version === null) return defaultVersion(state, model)?.version ?? null;
  return state.loaded.some((one) => one.model === model && one.version === version) ? version : null;
}

/**
 * The verdict on a loaded version, with its figures. For the version that is shown there is a report, which is newer.
 *
 * @param {State} state
 * @param {string} model
 * @param {string} version
 * @returns {Drift | LoadedVersion | null}
 */
export function verdictOn(state, model, version) {
  const { drift, loaded } = state;
  if (model === state.model && version === shownVersion(state) && version === drift?.version) return drift;
  return loaded.find((one) => one.model === model && one.version === version) ?? null;
}

/** Path of the version that the page shows. @param {State} state @returns {string | null} */
export function shownPath(state) {
  const version = shownVersion(state);
  return state.model === null || version === null ? null : pathOf(state.model, version);
}

/** The selected layer of that version, once its layers are known. @param {State} state @returns {Layer | null} */
export const selectedLayer = ({ layers, layer }) => layers.find((one) => one.name === layer) ?? null;

/** The selected channel of that layer; the first where none is. @param {State} state */
export const selectedChannel = (state) => Math.min(state.channel ?? 0, (selectedLayer(state)?.num_features ?? 1) - 1);

/** Live moments of that layer, where it has seen rows. @param {State} state @returns {ObservedLayer | null} */
export function liveLayer({ channels: live, layer }) {
  if (live === null || live.layer !== layer || live.channels === null) return null;
  return { ...live, channels: live.channels };
}

/** Traffic of the version that the page shows, oldest first. @param {State} state @returns {Sample[]} */
export const shownTraffic = (state) => state.traffic[`${state.model}/${shownVersion(state)}`] ?? [];

/** Whether that version had traffic in the last seconds. @param {State} state */
export const isActive = (state) =>
  shownTraffic(state)
    .slice(-ACTIVE_SAMPLES)
    .some((one) => one.requestsPerSecond > 0);

/** @param {State} state @param {Section[]} sections */
export const isVisible = (state, ...sections) => sections.some((section) => state.visible.has(section));
