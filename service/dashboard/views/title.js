// @ts-check
/** Where the page is: the model's name, its versions to choose from, and its tabs. */

import { link, OVERVIEW, TABS } from "../address.js";
import { h } from "../dom.js";
import { goToVersion } from "../navigation.js";
import { defaultVersion, indexOf, shownVersion } from "../selectors.js";

/** @import { On, State, Tab } from "../types" */

/** @param {State} state */
export function title(state) {
  const { model } = state;
  if (model === null) return h("h2", { class: "visually-hidden" }, "Models");
  return [
    h("p", { class: "path" }, h("a", { href: OVERVIEW }, "Models"), h("span", { "aria-hidden": "true" }, " /")),
    h("h2", { class: "model-name" }, model),
    versionChoice(state),
  ];
}

/** @param {State} state */
export function tabs(state) {
  const { model, version, tab: open } = state;
  if (model === null || shownVersion(state) === null) return null;
  return h(
    "ul",
    null,
    /** @type {Tab[]} */ (Object.keys(TABS)).map((tab) =>
      h(
        "li",
        { key: tab },
        h("a", { href: link({ model, version, tab }), "aria-current": tab === open ? "page" : null }, TABS[tab]),
      ),
    ),
  );
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
