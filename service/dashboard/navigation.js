// @ts-check
/** Keeps the selection and the address the same. */

import { link, readAddress } from "./address.js";
import { modelNames } from "./selectors.js";
import { current, NOTHING_KNOWN, update } from "./state.js";

/** @import { Selection } from "./types" */

/** Select a layer or a channel of the version that is shown. @param {Partial<Selection>} selection */
export function select(selection) {
  update(selection);
  history.replaceState(null, "", link(current()));
}

/** Go to another version of the model. @param {string | null} version */
export function goToVersion(version) {
  location.hash = link({ model: current().model, version });
}

/** Select what the address says. */
export function followAddress() {
  update((state) => {
    const selection = readAddress();
    const model = selection.model ?? modelNames(state)[0] ?? null;
    if (model === state.model && selection.version === state.version) return { ...selection, model };
    if (state.trial !== null) URL.revokeObjectURL(state.trial.sent);
    return { ...selection, model, ...NOTHING_KNOWN, notice: null };
  });
}
