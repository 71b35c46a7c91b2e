// @ts-check
/** Other versions and models whose drift is drawn over that of the version that is shown. */

import { h } from "../dom.js";
import { shownVersion } from "../selectors.js";
import { update } from "../state.js";

/** @import { Compared, On, Shown } from "../types" */

const MOST = 3;

/** @param {Compared} one */
export const nameOf = ({ model, version }) => `${model} ${version}`;

/** @param {Shown} state */
export function comparison(state) {
  const { overview, model, compared } = state;
  const version = shownVersion(state);
  const others = (overview?.models ?? [])
    .flatMap((one) => one.loaded.map((loaded) => ({ model: one.name, version: loaded.version })))
    .filter((one) => !(one.model === model && one.version === version))
    .filter((one) => !compared.some((other) => nameOf(other) === nameOf(one)))
    .sort((a, b) => Number(b.model === model) - Number(a.model === model)); // other versions of this model first
  if (others.length === 0 && compared.length === 0) return null;
  /** @param {On<HTMLSelectElement>} event */
  const add = ({ currentTarget: field }) => {
    const chosen = others.find((one) => nameOf(one) === field.value);
    field.value = "";
    if (chosen !== undefined) update({ compared: [...compared, chosen] });
  };
  return h(
    "p",
    { class: "actions compared" },
    compared.map((one, at) =>
      h(
        "span",
        { key: nameOf(one) },
        h("span", { class: `other-${at}` }, nameOf(one)),
        " ",
        h(
          "button",
          {
            type: "button",
            class: "link",
            "aria-label": `Remove ${nameOf(one)}`,
            onclick: () => update({ compared: compared.filter((other) => other !== one) }),
          },
          "\u00d7",
        ),
      ),
    ),
    compared.length < MOST &&
      h(
        "label",
        { key: "add" },
        "Compare with ",
        h(
          "select",
          { onchange: add },
          h("option", { value: "" }, "\u2026"),
          others.map((one) => h("option", { key: nameOf(one), value: nameOf(one) }, nameOf(one))),
        ),
      ),
  );
}
