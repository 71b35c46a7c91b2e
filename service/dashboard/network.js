/** The network as a strip of layers, a layer's channels as a heat map, and a channel's two distributions. */

import { normals } from "./charts.js";
import { h } from "./dom.js";
import { EDGES, referenceOf, SIGNED_EDGES, signedStep, step, symmetricKl } from "./drift.js";
import { compact, count, number, round, signed, tiny } from "./format.js";

/** What the heat map can show. */
export const MEASURES = {
  drift: { name: "Drift", explained: "symmetric KL divergence from the reference, in nats", signed: false },
  mean: { name: "Mean", explained: "live mean less the reference's, in reference deviations (z)", signed: true },
  spread: { name: "Spread", explained: "live variance over the reference's, in powers of two", signed: true },
};

const PLACEMENTS = {
  folded_back: "folded back",
  folded_forward: "folded forward",
  kept: "kept as a layer",
};

const NARROWEST = 118;

/** The layers, from the input to the output, in rows of much the same length. They are tabs: arrows go from one to the next. */
export function strip(layers, drifts, chosen, width, choose) {
  const lines = Math.ceil(layers.length / Math.max(2, Math.floor(width / NARROWEST)));
  const columns = Math.ceil(layers.length / lines);
  const go = (event, at) => {
    const target = {
      ArrowRight: at + 1,
      ArrowDown: at + 1,
      ArrowLeft: at - 1,
      ArrowUp: at - 1,
      Home: 0,
      End: layers.length - 1,
    };
    const to = target[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const index = Math.min(Math.max(to, 0), layers.length - 1);
    choose(layers[index].name);
    document.getElementById(`layer-${index}`)?.focus();
  };
  return [
    h("span", { class: "end", "aria-hidden": "true" }, "input"),
    h(
      "div",
      {
        class: "layers",
        role: "tablist",
        "aria-label": "Layers, from the input to the output",
        style: { "--columns": String(columns) },
      },
      layers.map((layer, at) => {
        const drift = drifts.get(layer.name);
        const size = drift?.symmetric_kl ?? null;
        const words = [
          layer.name,
          `${layer.num_features} channels`,
          size === null ? "drift unknown" : `drift ${number(size)}`,
          drift?.significant ? "significant" : null,
          PLACEMENTS[layer.placement.kind],
        ];
        return h(
          "button",
          {
            key: layer.name,
            id: `layer-${at}`,
            type: "button",
            role: "tab",
            class: "layer",
            "aria-selected": layer.name === chosen ? "true" : "false",
            "aria-controls": "layer",
            "aria-label": words.filter(Boolean).join(", "),
            "data-step": size === null ? "none" : step(size),
            tabindex: layer.name === chosen ? 0 : -1,
            title: layer.name,
            onclick: () => choose(layer.name),
            onkeydown: (event) => go(event, at),
          },
          h(
            "span",
            { class: "size" },
            number(size),
            drift?.significant ? h("span", { class: "flag" }, "\u25b2") : null,
          ),
          h("span", { class: "name" }, breakable(layer.name)),
          h("span", { class: "channels" }, `${layer.num_features} ch`),
        );
      }),
    ),
    h("span", { class: "end", "aria-hidden": "true" }, "output"),
  ];
}

/** A name that may go on in the next line after its dots. */
const breakable = (name) => name.split(/(?<=\.)/).map((part, at) => [at > 0 && h("wbr"), part]);

/** What the colours mean. */
export function legend(measure) {
  const signedScale = MEASURES[measure].signed;
  const steps = signedScale ? [-3, -2, -1, 0, 1, 2, 3] : [0, 1, 2, 3, 4];
  const edges = signedScale ? [...SIGNED_EDGES.toReversed().map((edge) => -edge), ...SIGNED_EDGES] : EDGES;
  return h(
    "p",
    { class: "legend" },
    h(
      "span",
      { class: "scale", role: "img", "aria-label": `Steps at ${edges.map(round).join(", ")}` },
      steps.map((one, at) => [
        h("span", { class: "swatch", "data-step": one }),
        at < edges.length && h("span", { class: "edge" }, round(edges[at])),
      ]),
    ),
    h("span", { class: "muted" }, MEASURES[measure].explained),
  );
}

/** One number a channel. */
function measured(live, measure) {
  const { mean, variance } = live.channels;
  const reference = referenceOf(live);
  return mean.map((value, at) => {
    const [m, v] = [reference.mean[at], Math.max(reference.variance[at], 1e-12)];
    if (measure === "mean") return (value - m) / Math.sqrt(v);
    if (measure === "spread") return Math.log2(Math.max(variance[at], 1e-12) / v);
    return symmetricKl(value, variance[at], m, v);
  });
}

/** The channel that has moved most. */
export function mostDrifted(live) {
  const drift = measured(live, "drift");
  return drift.indexOf(Math.max(...drift));
}

/** The channels of a layer as a grid of cells. Arrows go over it, and what they come to is shown. */
export function heatmap(live, measure, chosen, columns, choose) {
  const values = measured(live, measure);
  const { mean, variance } = live.channels;
  const rows = Array.from({ length: Math.ceil(values.length / columns) }, (_, row) =>
    values.slice(row * columns, (row + 1) * columns).map((_value, at) => row * columns + at),
  );
  const go = (event, at) => {
    const last = values.length - 1;
    const target = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      ArrowDown: at + columns,
      ArrowUp: at - columns,
      Home: event.ctrlKey ? 0 : at - (at % columns),
      End: event.ctrlKey ? last : Math.min(last, at - (at % columns) + columns - 1),
    };
    const to = target[event.key];
    if (to === undefined || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (to < 0 || to > last) return;
    choose(to);
    document.getElementById(`channel-${to}`)?.focus();
  };
  return h(
    "div",
    {
      class: `heatmap ${values.length > 256 ? "dense" : values.length <= 32 ? "few" : ""}`,
      role: "grid",
      "aria-label": `Channels, coloured by ${MEASURES[measure].name.toLowerCase()}`,
      style: { "--columns": String(columns) },
    },
    rows.map((row) =>
      h(
        "div",
        { role: "row", class: "row" },
        row.map((channel) =>
          h(
            "div",
            {
              id: `channel-${channel}`,
              role: "gridcell",
              class: "cell",
              "data-step": MEASURES[measure].signed ? signedStep(values[channel]) : step(values[channel]),
              "aria-selected": channel === chosen ? "true" : "false",
              "aria-label":
                `channel ${channel}, ${MEASURES[measure].name.toLowerCase()} ${number(values[channel])}, ` +
                `mean ${signed(mean[channel])}, variance ${number(variance[channel])}`,
              title: `channel ${channel}: ${number(values[channel])}`,
              tabindex: channel === chosen ? 0 : -1,
              onclick: () => choose(channel),
              onkeydown: (event) => go(event, channel),
            },
            values.length > 256 ? null : tiny(values[channel]),
          ),
        ),
      ),
    ),
  );
}

/** A channel: two curves and their numbers. */
export function channel(live, remembered, chosen, width) {
  const reference = referenceOf(live);
  const { mean, mean_error: meanError, variance, variance_error: varianceError } = live.channels;
  const seen = { mean: mean[chosen], variance: variance[chosen] };
  const before = { mean: reference.mean[chosen], variance: reference.variance[chosen] };
  const error = (value) => (Number.isFinite(value) ? ` \u00b1 ${number(value)}` : "");
  return [
    h("h3", null, `Channel ${chosen}`),
    h(
      "p",
      { class: "key" },
      h("span", { class: "live" }, "live"),
      ", ",
      h("span", { class: "reference" }, live.reference ? "reference" : "as trained"),
      h("span", { class: "muted" }, ", as normal curves over z"),
    ),
    normals(seen, before, width),
    h(
      "table",
      { class: "numbers" },
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          h("td", null),
          h("th", { scope: "col" }, "Mean"),
          h("th", { scope: "col" }, "Variance"),
          h("th", { scope: "col" }, "Rows"),
        ),
      ),
      h(
        "tbody",
        null,
        h(
          "tr",
          null,
          h("th", { scope: "row" }, "Live"),
          h("td", null, signed(seen.mean), h("span", { class: "muted" }, error(meanError?.[chosen]))),
          h("td", null, number(seen.variance), h("span", { class: "muted" }, error(varianceError?.[chosen]))),
          h("td", null, count(live.rows)),
        ),
        h(
          "tr",
          null,
          h("th", { scope: "row" }, live.reference ? "Reference" : "As trained"),
          h("td", null, signed(before.mean)),
          h("td", null, number(before.variance)),
          h("td", null, reference.rows === null ? "\u2013" : count(reference.rows)),
        ),
      ),
    ),
    remembered && memory(remembered, chosen),
  ];
}

/** What the layer has stored of a channel, in its own units. */
export function memory(remembered, chosen) {
  const stored = [
    ["running mean", remembered.running_mean[chosen]],
    ["running variance", remembered.running_var[chosen]],
    ["gamma", remembered.gamma[chosen]],
    ["beta", remembered.beta[chosen]],
  ];
  return h(
    "dl",
    { class: "facts" },
    stored.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, number(value)))),
  );
}

/** All channels as a table, for those who would rather read. */
export function table(live, choose) {
  const drift = measured(live, "drift");
  const reference = referenceOf(live);
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Channels as a table" },
    h(
      "table",
      { class: "numbers" },
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          ["Channel", "Drift", "Mean", "Variance", "Ref. mean", "Ref. variance"].map((name) =>
            h("th", { scope: "col" }, name),
          ),
        ),
      ),
      h(
        "tbody",
        null,
        drift.map((value, at) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, h("button", { type: "button", class: "link", onclick: () => choose(at) }, at)),
            h("td", null, number(value)),
            h("td", null, signed(live.channels.mean[at])),
            h("td", null, number(live.channels.variance[at])),
            h("td", null, signed(reference.mean[at])),
            h("td", null, number(reference.variance[at])),
          ),
        ),
      ),
    ),
  );
}

/** Where a layer went, in a line. */
export function placement(layer) {
  const { kind, into, reason } = layer.placement;
  const where = kind === "kept" ? `kept: ${reason}` : `${PLACEMENTS[kind]} into ${into.join(", ")}`;
  return `${compact(layer.num_features)} channels, ${where}`;
}
