/** The versions of a model side by side: which one answers, how each does, and what may be decided about it. */

import { h } from "./dom.js";
import { count, date, duration, number, percent } from "./format.js";
import { gates } from "./gates.js";
import { badge } from "./verdict.js";

const FIRST_SHARE = 0.1;

/**
 * A row a version, newest first.
 *
 * @param state `rollout` as the service describes it, `index` of the model, `drifts` by version, `link(version)`
 * @param decide called with words, method, path below the model, and a body
 */
export function versions({ rollout, index, drifts, card, link }, decide, manage) {
  if (!rollout) return h("p", { class: "muted" }, "\u2026");
  const before = rollout.previous.at(-1);
  const columns = ["Version", "Answers", "Requests", "Errors", "Median", "99 %", "Drift", "Decide"];
  return [
    h(
      "table",
      { class: "list stacked", role: "table" },
      h(
        "thead",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row" },
          columns.map((name) => h("th", { scope: "col", role: "columnheader" }, name)),
        ),
      ),
      h(
        "tbody",
        { role: "rowgroup" },
        rollout.versions.toReversed().map((one) => {
          const entry = index.find((other) => other.version === one.version);
          const cells = [
            roles(one, rollout, entry),
            count(one.requests),
            count(one.errors),
            milliseconds(one.request_ms.p50),
            milliseconds(one.request_ms.p99),
            drift(drifts.get(one.version)),
            decisions(one, rollout, decide, manage),
          ];
          return h(
            "tr",
            { key: one.version, role: "row" },
            h(
              "th",
              { scope: "row", role: "rowheader" },
              h(
                "a",
                { href: link(one.version), "aria-current": String(card?.version) === one.version ? "true" : null },
                one.version,
              ),
              h("span", { class: "note" }, origin(one.lineage)),
            ),
            cells.map((cell, at) =>
              h("td", { role: "cell", "data-label": columns[at + 1], class: at > 0 && at < 5 ? "amount" : null }, cell),
            ),
          );
        }),
      ),
    ),
    h(
      "p",
      { class: "actions" },
      before !== undefined &&
        h(
          "button",
          {
            type: "button",
            class: "button",
            onclick: () => decide(`Version ${before} is the default again.`, "POST", "rollback"),
          },
          `Roll back to ${before}`,
        ),
      h("button", { type: "button", class: "button", onclick: () => manage.load(null) }, "Load what is new"),
      h("button", { type: "button", class: "button", onclick: () => manage.unload(null) }, "Unload the model"),
    ),
    !rollout.pinned && h("p", { class: "note" }, "The newest version is the default, until one is promoted."),
  ];
}

const milliseconds = (value) => (value === null ? "\u2013" : duration(value / 1e3));

function origin(lineage) {
  if (!lineage) return "";
  return lineage.parent ? ` ${lineage.origin} from ${lineage.parent.version}` : ` ${lineage.origin}`;
}

function roles(one, rollout, entry) {
  const words = one.roles.map((role) => (role === "canary" ? `canary ${percent(rollout.canary.share)}` : role));
  if (!one.loaded) words.push(entry?.reason || "not loaded");
  return [words.join(", ") || "when named", compared(one.compared)];
}

/** A shadow's answers beside those of the default version. */
function compared(found) {
  if (!found) return null;
  if (!found.rows) return h("span", { class: "note" }, " nothing compared yet");
  return h(
    "span",
    { class: "note" },
    found.agreement === null ? ` ${count(found.rows)} rows` : ` agrees on ${percent(found.agreement)} of ${count(found.rows)} rows`,
    `; largest difference ${number(found.largest_difference)}`,
    found.dropped > 0 && `; ${count(found.dropped)} requests not compared`,
    found.errors > 0 && `; ${count(found.errors)} errors`,
  );
}

function drift(found) {
  if (!found?.rows) return "\u2013";
  return [badge(found), h("span", { class: "note" }, ` ${number(found.symmetric_kl)}`)];
}

function decisions(one, rollout, decide, manage) {
  const version = Number(one.version);
  const button = (words, onclick) =>
    h("button", { type: "button", class: "link", "aria-label": `${words} version ${one.version}`, onclick }, words);
  const has = (role) => one.roles.includes(role);
  if (!one.loaded)
    return h(
      "span",
      { class: "decisions" },
      button("Load", () => manage.load(one.version)),
    );
  if (has("default")) return h("span", { class: "decisions muted" }, rollout.pinned ? "promoted" : "newest");
  const promoted = `Version ${version} is the default.`;
  return h(
    "span",
    { class: "decisions" },
    button("Promote", () => decide(promoted, "POST", "promote", { version })),
    has("canary")
      ? [share(one, rollout, decide), button("End canary", () => decide("The canary has ended.", "DELETE", "canary"))]
      : button("Canary", () =>
          decide(`Version ${version} answers ${percent(FIRST_SHARE)}.`, "PUT", "canary", {
            version,
            share: FIRST_SHARE,
          }),
        ),
    has("shadow")
      ? button("End shadow", () => decide("The comparison has ended.", "DELETE", "shadow"))
      : button("Shadow", () =>
          decide(`Version ${version} is compared with the default.`, "PUT", "shadow", { version }),
        ),
    one.roles.length === 0 && button("Unload", () => manage.unload(one.version)),
  );
}

function share(one, rollout, decide) {
  const set = (event) => {
    event.preventDefault();
    const wanted = Number(event.target.elements.share.value) / 100;
    decide(`Version ${one.version} answers ${percent(wanted)}.`, "PUT", "canary", {
      version: Number(one.version),
      share: wanted,
    });
  };
  return h(
    "form",
    { class: "share", onsubmit: set },
    h("input", {
      name: "share",
      type: "number",
      min: 0.1,
      max: 100,
      step: 0.1,
      required: true,
      "aria-label": `Share of version ${one.version} in per cent`,
      value: Number((rollout.canary.share * 100).toPrecision(4)),
    }),
    " % ",
    h("button", { class: "link" }, "Set"),
  );
}

/** Where a version came from. */
export function about({ card, metadata }) {
  const { lineage, training, parity, provider, description } = card;
  const parent = lineage.parent && `${lineage.parent.model} ${lineage.parent.version}`;
  const record = lineage.recalibration;
  const facts = [
    ["Origin", parent ? `${lineage.origin}, from ${parent}` : lineage.origin],
    ["Made", `${date(lineage.created_at)}, by ${lineage.created_by}`],
    ["Runs on", provider],
    ["Takes", metadata.inputs.map(tensor).join("; ")],
    ["Gives", metadata.outputs.map(tensor).join("; ")],
    ["Folded exactly", `to ${worst(parity)} of the largest output, on ${count(parity.rows)} rows`],
    ...(record
      ? [
          [
            "Re-calibrated",
            `from ${count(record.rows)} rows, prior ${number(record.prior)}${record.forced ? ", forced" : ""}`,
          ],
        ]
      : []),
    ...Object.entries(training?.metrics ?? {}).map(([name, value]) => [
      name.replaceAll("_", " "),
      String(Number(value.toPrecision(4))),
    ]),
  ];
  return [
    description && h("p", { class: "description" }, description),
    h(
      "dl",
      { class: "facts long" },
      facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
    ),
    record && [h("h3", null, "Gates that it passed"), gates(record.gates)],
  ];
}

const tensor = ({ name, datatype, shape }) =>
  `${name} ${datatype} [${shape.map((size) => (size < 0 ? "n" : size)).join(", ")}]`;

const worst = (parity) => Math.max(...parity.comparisons.map((one) => one.max_relative)).toExponential(1);
