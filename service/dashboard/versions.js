/** The versions of a model: which are loaded, which answers, and what they have done. */

import { h } from "./dom.js";
import { count, date, duration } from "./format.js";

/** A row a version, newest first. */
export function versions(state, actions) {
  return [
    h(
      "table",
      { class: "list" },
      h(
        "thead",
        null,
        h("tr", null, ["Version", "State", "Answered", "Latency"].map((name) => h("th", { scope: "col" }, name))),
      ),
      h("tbody", null, state.index.toReversed().map((entry) => version(state, entry))),
    ),
    h(
      "p",
      { class: "actions" },
      h("button", { type: "button", class: "button", onclick: actions.load }, "Load what is new"),
      h("button", { type: "button", class: "button", onclick: actions.unload }, "Unload the model"),
    ),
  ];
}

function version(state, { version: number, state: loaded, reason }) {
  const done = state.statistics.find((one) => one.version === number);
  const { count: answered = 0, ns = 0 } = done?.inference_stats.success ?? {};
  return h(
    "tr",
    { key: number, "aria-current": number === String(state.card?.version) ? "true" : null },
    h("th", { scope: "row" }, h("a", { href: state.link(number) }, number)),
    h("td", null, loaded === "READY" ? "loaded" : reason || "not loaded"),
    h("td", null, count(answered)),
    h("td", null, answered ? duration(ns / answered / 1e9) : "\u2013"),
  );
}

/** Where a version came from. */
export function about({ card, metadata }) {
  const { lineage, training, parity, provider, description } = card;
  const parent = lineage.parent && `${lineage.parent.model} ${lineage.parent.version}`;
  const facts = [
    ["Origin", parent ? `${lineage.origin}, from ${parent}` : lineage.origin],
    ["Made", `${date(lineage.created_at)}, by ${lineage.created_by}`],
    ["Runs on", provider],
    ["Takes", metadata.inputs.map(tensor).join("; ")],
    ["Gives", metadata.outputs.map(tensor).join("; ")],
    ["Folded exactly", `to ${worst(parity)} of the largest output, on ${count(parity.rows)} rows`],
    ...Object.entries(training?.metrics ?? {}).map(([name, value]) => [name, String(Number(value.toPrecision(4)))]),
  ];
  return [
    description && h("p", null, description),
    h("dl", { class: "facts long" }, facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
  ];
}

const tensor = ({ name, datatype, shape }) => `${name} ${datatype} [${shape.map((size) => (size < 0 ? "n" : size)).join(", ")}]`;

const worst = (parity) => Math.max(...parity.comparisons.map((one) => one.max_relative)).toExponential(1);
