// @ts-check
/** The model's name, its versions to choose from, and the window of time. */

import { h } from "../dom.js";
import { goToVersion } from "../navigation.js";
import { defaultVersion, indexOf, shownVersion } from "../selectors.js";
import { update } from "../state.js";
import { choice } from "./choice.js";

/** @import { On, State, Window } from "../types" */

/** @type {Record<Window, string>} */
export const WINDOWS = { "1m": "1 minute", "1h": "1 hour", "1d": "1 day", start: "since start" };

/** @param {State} state */
export function title(state) {
  if (state.model === null) return null;
  return [
    h("h2", { class: "model-name" }, state.model),
    versionChoice(state),
    shownVersion(state) !== null &&
      choice("window", "Window of time", WINDOWS, state.window, (window) => update({ window })),
  ];
}

/** @param {State} state */
function versionChoice(state) {
  const index = indexOf(state, state.model);
  if (index.length === 0) return null;
  const byDefault = defaultVersion(state, state.model);
  /** @param {On<HTMLSelectElement>} event */
  const choose = ({ currentTarget: { value } }) => goToVersion(value === "default" ? null : value);
  return h(
    "label",
    null,
    h("span", null, "Version "),
    h(
      "select",
      { value: state.version ?? "default", onchange: choose },
      h("option", { key: "default", value: "default" }, byDefault ? `default (${byDefault.version})` : "default"),
      index
        .toReversed()
        .map(({ version, state: loadState }) =>
          h(
            "option",
            { key: version, value: version, selected: version === state.version },
            loadState === "READY" ? version : `${version} (not loaded)`,
          ),
        ),
    ),
  );
}
