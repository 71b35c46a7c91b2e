// @ts-check
/** Which time the history shows: one of some stretches until now, or any other within what is kept. */

import { h } from "../dom.js";
import { localTime, zone } from "../format.js";
import { earliest, RANGES, shownPeriod } from "../ranges.js";
import { update } from "../state.js";
import { choice } from "./choice.js";

/** @import { On, Range, State } from "../types" */

const CUSTOM = "custom";

const NAMES = /** @type {Record<Range | typeof CUSTOM, string>} */ ({
  ...Object.fromEntries(Object.entries(RANGES).map(([range, { name }]) => [range, name])),
  [CUSTOM]: "From \u2026 to \u2026",
});

/** @param {State} state */
export function periodPicker(state) {
  const { range, period } = state;
  /** @param {Range | typeof CUSTOM} chosen */
  const choose = (chosen) => {
    if (chosen !== CUSTOM) update({ range: chosen, period: null, moment: null });
    else {
      const { first, last } = shownPeriod(state, Date.now());
      update({ period: { first, last }, moment: null });
    }
  };
  return [
    choice("range", "Stretch of time", NAMES, period === null ? range : CUSTOM, choose),
    period !== null && fields(period),
  ];
}

/** @param {NonNullable<State["period"]>} period */
function fields(period) {
  const now = Date.now();
  /** @param {"first" | "last"} end */
  const change =
    (end) =>
    (/** @type {On<HTMLInputElement>} */ { currentTarget: field }) => {
      const at = new Date(field.value).getTime();
      const changed = { ...period, [end]: at };
      const isOrdered = Number.isFinite(at) && changed.first < changed.last;
      field.setCustomValidity(isOrdered ? "" : "The end has to be later than the beginning.");
      if (field.reportValidity()) update({ period: changed, moment: null });
    };
  /** @param {string} label @param {"first" | "last"} end */
  const field = (label, end) =>
    h(
      "label",
      { key: end },
      `${label} `,
      h("input", {
        type: "datetime-local",
        min: localTime(earliest(now)),
        max: localTime(now),
        value: localTime(period[end]),
        onchange: change(end),
      }),
    );
  return h(
    "p",
    { class: "actions period" },
    field("From", "first"),
    field("to", "last"),
    h("span", { class: "muted" }, zone()),
  );
}
