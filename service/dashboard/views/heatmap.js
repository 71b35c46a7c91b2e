// @ts-check
/** The channels of a layer as a heat map and as a table. */

import { h } from "../dom.js";
import { count, NONE, number, round, signed, tiny } from "../format.js";
import { remembered } from "../memo.js";
import { select } from "../navigation.js";
import { driftEdges, hasTooFewRows, SIGNED_EDGES, signedStep, step } from "../scale.js";
import { selectedChannel } from "../selectors.js";
import { keep } from "./keep.js";
import { learn } from "./learn.js";
import { unfoldingTable } from "./tables.js";

/** @import { Channels, Measure, ObservedLayer, Shown } from "../types" */

/** More channels than these have no figures in their cells. */
const MANY = 256;

/**
 * What the heat map can show.
 *
 * @type {Record<Measure, {
 *   name: string, explanation: string, isSigned: boolean, values: (channels: Channels) => number[]
 * }>}
 */
export const MEASURES = {
  drift: {
    name: "Drift",
    explanation: "how far each channel is from the reference: mean and spread together (symmetric KL divergence)",
    isSigned: false,
    values: (channels) => channels.symmetric_kl,
  },
  mean: {
    name: "Mean",
    explanation: "how far the mean has moved, in standard deviations of the reference",
    isSigned: true,
    values: (channels) => channels.mean_shift,
  },
  spread: {
    name: "Spread",
    explanation: "how much wider values are spread than in the reference: 1 is twice the variance, \u22121 half of it",
    isSigned: true,
    values: (channels) => channels.log2_variance_ratio,
  },
};

/** @param {Shown} state @param {ObservedLayer} live */
export const heatmap = (state, live) => [
  live.channels.mean.length > MANY && h("p", { class: "muted" }, summary(state, live)),
  grid(
    live,
    MEASURES[state.measure],
    columnsFor(state.widths.heatmap, live.channels.mean.length),
    selectedChannel(state),
    isColoured(state) ? (state.drift?.large_symmetric_kl ?? null) : null,
  ),
  legend(state),
  keep(`${state.model}-${live.layer}`, () => records(live), ".heatmap"),
  table(live),
];

/** How many of many channels have changed. @param {Shown} state @param {ObservedLayer} live */
function summary({ drift }, { channels: { symmetric_kl: sizes } }) {
  const large = drift === null || hasTooFewRows(drift) ? null : drift.large_symmetric_kl;
  const changed = large === null ? 0 : sizes.filter((size) => size >= large).length;
  const most = sizes.indexOf(Math.max(...sizes));
  const share = large === null ? "" : `${count(changed)} of ${count(sizes.length)} channels have changed clearly. `;
  return [
    share,
    "Most: ",
    h("button", { type: "button", class: "link", onclick: () => select({ channel: most }) }, `channel ${most}`),
    ".",
  ];
}

/**
 * Cells for the channels. The arrow keys go from one to the next.
 *
 * @param {ObservedLayer} live
 * @param {(typeof MEASURES)[Measure]} measure
 * @param {number} columns
 * @param {number} selected channel
 * @param {number | null} large size from which a change raises an alarm; null where there are too few rows for colours
 */
function describeGrid(live, measure, columns, selected, large) {
  const values = measure.values(live.channels);
  const name = measure.name.toLowerCase();
  const edges = large === null ? [] : driftEdges(large);
  const isDense = values.length > MANY;
  /** @param {number} channel */
  const cell = (channel) => {
    const isSelected = channel === selected;
    const value = values[channel];
    const figures = `mean ${signed(live.channels.mean[channel])}, variance ${number(live.channels.variance[channel])}`;
    return h(
      "div",
      {
        id: `channel-${channel}`,
        role: "gridcell",
        class: "cell",
        "data-step": large === null ? "none" : measure.isSigned ? signedStep(value) : step(value, edges),
        "aria-selected": isSelected ? "true" : "false",
        "aria-label": `${isDense ? "" : `${tiny(value)}: `}channel ${channel}, ${name} ${number(value)}, ${figures}`,
        title: `channel ${channel}: ${number(value)}`,
        tabindex: isSelected ? 0 : -1,
        onclick: () => select({ channel }),
        onkeydown: (/** @type {KeyboardEvent} */ event) => move(event, channel, columns, values.length - 1),
      },
      isDense ? null : tiny(value),
    );
  };
  return h(
    "div",
    {
      class: `heatmap ${isDense ? "dense" : values.length <= 32 ? "few" : ""}`.trim(),
      role: "grid",
      "aria-label": `Channels, coloured by ${name}`,
      style: { "--columns": String(columns) },
    },
    Array.from({ length: Math.ceil(values.length / columns) }, (_, row) =>
      h(
        "div",
        { role: "row", class: "row" },
        values.slice(row * columns, (row + 1) * columns).map((_, at) => cell(row * columns + at)),
      ),
    ),
  );
}

const grid = remembered(describeGrid);

/**
 * Columns of the grid: a power of two, as channels are, so that it is wider than high and its cells can be read.
 *
 * @param {number} width
 * @param {number} channels
 */
function columnsFor(width, channels) {
  const narrowest = channels > MANY ? 10 : 28;
  let columns = 4;
  while (columns * 2 * narrowest <= width && columns * columns < 2 * channels) columns *= 2;
  return columns;
}

/** @param {KeyboardEvent} event @param {number} at @param {number} columns @param {number} last */
function move(event, at, columns, last) {
  const start = at - (at % columns);
  const targets = {
    ArrowRight: at + 1,
    ArrowLeft: at - 1,
    ArrowDown: at + columns,
    ArrowUp: at - columns,
    Home: event.ctrlKey ? 0 : start,
    End: event.ctrlKey ? last : Math.min(last, start + columns - 1),
  };
  if (!(event.key in targets) || event.altKey || event.metaKey) return;
  event.preventDefault();
  const to = targets[/** @type {keyof typeof targets} */ (event.key)];
  if (to < 0 || to > last) return;
  select({ channel: to });
  document.getElementById(`channel-${to}`)?.focus();
}

/** Edges between the steps of drift; none before the service has said which drift is large. @param {Shown} state */
const edgesOf = ({ drift }) => (drift === null ? [] : driftEdges(drift.large_symmetric_kl));

/** @param {Shown} state */
const isColoured = ({ drift }) => drift !== null && !hasTooFewRows(drift);

/** What the colours mean. @param {Shown} state */
function legend(state) {
  const { explanation, isSigned } = MEASURES[state.measure];
  if (!isColoured(state)) return h("p", { class: "legend muted" }, "Too few inputs for colours.");
  const edges = isSigned ? [...SIGNED_EDGES.toReversed().map((edge) => -edge), ...SIGNED_EDGES] : edgesOf(state);
  const first = isSigned ? -SIGNED_EDGES.length : 0;
  return h(
    "p",
    { class: "legend" },
    h(
      "span",
      { class: "scale", role: "img", "aria-label": `Steps at ${edges.map(round).join(", ")}` },
      Array.from({ length: edges.length + 1 }, (_, at) => [
        h("span", { class: "swatch", "data-step": first + at }),
        at < edges.length && h("span", { class: "edge" }, round(edges[at])),
      ]),
    ),
    h("span", { class: "muted" }, explanation),
    learn("drift", "What these figures mean"),
  );
}

/** @param {ObservedLayer} live */
const records = ({ channels }) =>
  channels.symmetric_kl.map((symmetric_kl, channel) => ({
    channel,
    symmetric_kl,
    mean: channels.mean[channel],
    variance: channels.variance[channel],
    mean_shift: channels.mean_shift[channel],
    log2_variance_ratio: channels.log2_variance_ratio[channel],
  }));

/** @param {ObservedLayer} live */
function table({ channels, reference }) {
  return unfoldingTable(
    "Channels as a table",
    ["Channel", "Drift", "Mean", "Variance", "Ref. mean", "Ref. variance"],
    () =>
      channels.symmetric_kl.map((value, at) => [
        h("button", { type: "button", class: "link", onclick: () => select({ channel: at }) }, at),
        number(value),
        signed(channels.mean[at]),
        number(channels.variance[at]),
        reference === null ? NONE : signed(reference.mean[at]),
        reference === null ? NONE : number(reference.variance[at]),
      ]),
  );
}
