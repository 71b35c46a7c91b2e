// @ts-check
/** Keeps the selection and the address the same. */

import { link, readAddress } from "./address.js";
import { current, NOTHING_KNOWN, update } from "./state.js";

/** @import { Selection } from "./types" */

/** Select a layer or a channel of the version that is shown. @param {Partial<Selection>} selection */
export function select(selection) {
  update(selection);
  history.replaceState(null, "", link(current()));
}

/** Go to another version of the model. @param {string | null} version */
export function goToVersion(version) {
  location.hash = link({ ...current(), version });
}

/** Select what the address says. A layer stays selected while other tabs of the version are looked at. */
export function followAddress() {
  update((state) => {
    const selection = readAddress();
    if (selection.model === state.model && selection.version === state.version) {
      return selection.layer === null ? { tab: selection.tab } : selection;
    }
    if (state.trial !== null) URL.revokeObjectURL(state.trial.sent);
    return { ...selection, ...NOTHING_KNOWN, notice: null };
  });
  scrollTo(0, 0);
}
