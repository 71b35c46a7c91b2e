// @ts-check
/** What follows from the state. */

import { pathOf } from "./api.js";

/** @import { Layer, LoadedVersion, ModelSummary, ObservedLayer, Sample, Section, State } from "./types" */

const ACTIVE_SAMPLES = 10;
const AVERAGED_SAMPLES = 3;

/** @param {State} state @param {string | null} name @returns {ModelSummary | null} */
export const summaryOf = ({ overview }, name) => overview?.models.find((one) => one.name === name) ?? null;

/** Versions of a model in the repository. @param {State} state @param {string | null} name */
export const indexOf = (state, name) => summaryOf(state, name)?.index ?? [];

/** A loaded version. @param {State} state @param {string | null} name @param {string | null} version */
export const loadedVersion = (state, name, version) =>
  summaryOf(state, name)?.loaded.find((one) => one.version === version) ?? null;

/**
 * The version that answers requests which name only the model.
 *
 * @param {State} state
 * @param {string | null} name
 * @returns {LoadedVersion | null}
 */
export const defaultVersion = (state, name) => summaryOf(state, name)?.loaded.find((one) => one.is_default) ?? null;

/**
 * The version that the page shows: the selected one, or the default. Null where it is not loaded.
 *
 * @param {State} state
 * @returns {string | null}
 */
export function shownVersion(state) {
  const { model, version } = state;
  if (version === null) return defaultVersion(state, model)?.version ?? null;
  return loadedVersion(state, model, version)?.version ?? null;
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

/** Requests a second that a model has answered lately, all versions together. @param {State} state @param {string} name */
export const requestRate = ({ traffic }, name) =>
  Object.entries(traffic)
    .filter(([key]) => key.startsWith(`${name}/`))
    .reduce((sum, [, samples]) => sum + (recent(samples, "requestsPerSecond") ?? 0), 0);

/**
 * Mean of the last samples that have the value; null if none has.
 *
 * @param {Sample[]} samples
 * @param {keyof Sample} name
 */
export function recent(samples, name) {
  const values = samples.slice(-AVERAGED_SAMPLES).flatMap((one) => one[name] ?? []);
  return values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

/** Whether that version had traffic in the last seconds. @param {State} state */
export const isActive = (state) =>
  shownTraffic(state)
    .slice(-ACTIVE_SAMPLES)
    .some((one) => one.requestsPerSecond > 0);

/** @param {State} state @param {Section[]} sections */
export const isVisible = (state, ...sections) => sections.some((section) => state.visible.has(section));
