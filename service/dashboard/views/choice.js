// @ts-check
/** One of a few names, as a row of radio buttons. */

import { h } from "../dom.js";

/**
 * @template {string} Name
 * @param {string} group
 * @param {string} legend
 * @param {Record<Name, string>} names
 * @param {Name} chosen
 * @param {(name: Name) => void} choose
 */
export const choice = (group, legend, names, chosen, choose) =>
  h(
    "fieldset",
    { class: "choice" },
    h("legend", { class: "visually-hidden" }, legend),
    /** @type {Name[]} */ (Object.keys(names)).map((name) =>
      h(
        "label",
        { key: name },
        h("input", { type: "radio", name: group, value: name, checked: name === chosen, onchange: () => choose(name) }),
        h("span", null, names[name]),
      ),
    ),
  );
