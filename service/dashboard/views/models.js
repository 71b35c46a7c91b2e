// @ts-check
/** The models of the repository, each with the verdict on its default version. */

import { link } from "../address.js";
import { h } from "../dom.js";
import { defaultVersion, isLoaded, modelNames, verdictOn } from "../selectors.js";
import { badge } from "./verdict.js";

/** @import { State } from "../types" */

/** @param {State} state */
export const models = (state) =>
  h(
    "ul",
    null,
    modelNames(state).map((name) =>
      h(
        "li",
        { key: name },
        h(
          "a",
          { href: link({ model: name }), "aria-current": name === state.model ? "page" : null },
          h("span", { class: "name" }, name),
          status(state, name),
        ),
      ),
    ),
  );

/** @param {State} state @param {string} name */
function status(state, name) {
  const version = defaultVersion(state, name);
  const found = version && verdictOn(state, name, version.version);
  if (found) return badge(found.verdict);
  return isLoaded(state, name) ? null : h("span", { class: "badge" }, "not loaded");
}
