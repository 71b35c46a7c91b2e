// @ts-check
/** The selected channel: its live and its reference distribution, and what the layer has stored. */

import { normals } from "../charts.js";
import { h } from "../dom.js";
import { count, NONE, number, signed } from "../format.js";
import { select } from "../navigation.js";
import { liveLayer, selectedChannel, selectedLayer } from "../selectors.js";
import { keep } from "./keep.js";
import { spread } from "./spread.js";
import { factList } from "./tables.js";

/** @import { Layer, ObservedLayer, On, Shown, StoredLayer } from "../types" */

/** Channels of a layer of kind "image", of each colour. */
const IMAGE_MOMENTS = [
  "mean",
  "place in the row",
  "place in the column",
  "width",
  "height",
  "slant",
  "mean square",
  "difference to the right",
  "difference below",
];

/** @param {Shown} state */
export function channel(state) {
  const shown = selectedLayer(state);
  if (shown === null) return null;
  const at = selectedChannel(state);
  const live = liveLayer(state);
  const stored = state.storedLayer?.name === state.layer ? state.storedLayer : null;
  if (live !== null) {
    const over = state.channelHistory;
    return [
      h("h3", null, title(shown, at)),
      comparison(live, at, state.widths.channel),
      over !== null &&
        over.layer === state.layer &&
        over.channel === at &&
        spread(over, state.model, state.widths.channel),
      stored?.gamma && [h("h3", null, "As stored in training"), storedFacts(stored, at)],
    ];
  }
  if (stored === null) return null;
  return [
    h("h3", null, `Channel ${at}, as stored`),
    storedFacts(stored, at),
    stored.num_features > 1 && channelField(stored, at),
  ];
}

/** @param {Layer} layer @param {number} at */
function title({ kind }, at) {
  return kind === "image" ? `Channel ${at}: ${IMAGE_MOMENTS[at % IMAGE_MOMENTS.length]}` : `Channel ${at}`;
}

/** @param {ObservedLayer} live @param {number} at @param {number} width */
function comparison({ channels, reference, rows, model, layer }, at, width) {
  const seen = { mean: channels.mean[at], variance: channels.variance[at] };
  // Without a reference: what the layer was trained to give.
  const before = reference ? { mean: reference.mean[at], variance: reference.variance[at] } : { mean: 0, variance: 1 };
  /** @param {number | null} value */
  const error = (value) => h("span", { class: "muted" }, value === null ? "" : ` \u00b1 ${number(value)}`);
  return [
    h(
      "p",
      { class: "key" },
      h("span", { class: "live" }, "live"),
      ", ",
      h("span", { class: "reference" }, reference ? "reference" : "as trained"),
      h(
        "span",
        { class: "muted" },
        ": how often each value occurs, as a bell curve. In training the mean is 0 and most values lie between \u22122 and 2",
      ),
    ),
    normals(seen, before, width),
    keep(
      `${model}-${layer}-${at}-now`,
      () => [
        { of: "live", channel: at, ...seen, rows },
        { of: "reference", channel: at, ...before, rows: reference?.rows ?? null },
      ],
      "svg.normals",
    ),
    h(
      "table",
      { class: "numbers" },
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          h("td"),
          ["Mean", "Variance", "Rows"].map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        null,
        h(
          "tr",
          null,
          h("th", { scope: "row" }, "Live"),
          h("td", null, signed(seen.mean), error(channels.mean_error[at])),
          h("td", null, number(seen.variance), error(channels.variance_error[at])),
          h("td", null, count(rows)),
        ),
        h(
          "tr",
          null,
          h("th", { scope: "row" }, reference ? "Reference" : "As trained"),
          h("td", null, signed(before.mean)),
          h("td", null, number(before.variance)),
          h("td", null, reference ? count(reference.rows) : NONE),
        ),
      ),
    ),
  ];
}

/** What the layer has stored of a channel, in its own units. @param {StoredLayer} stored @param {number} at */
function storedFacts({ running_mean, running_var, gamma, beta }, at) {
  /** @type {Array<[string, number[] | null]>} */
  const known = [
    ["running mean", running_mean],
    ["running variance", running_var],
    ["gamma", gamma],
    ["beta", beta],
  ];
  return factList(
    known.flatMap(([name, values]) =>
      values === null ? [] : [/** @type {[string, string]} */ ([name, number(values[at])])],
    ),
  );
}

/** In place of the heat map, where there is none to choose from. @param {StoredLayer} stored @param {number} at */
function channelField({ num_features: channels }, at) {
  /** @param {On<HTMLInputElement>} event */
  const choose = ({ currentTarget: field }) => {
    if (field.reportValidity()) select({ channel: field.valueAsNumber });
  };
  return h(
    "label",
    null,
    "Channel ",
    h("input", { type: "number", min: 0, max: channels - 1, required: true, value: at, onchange: choose }),
  );
}
