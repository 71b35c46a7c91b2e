// @ts-check
/** The versions of a model side by side: the role of each, its figures, and what can be done with it. */

import * as actions from "../actions.js";
import { link } from "../address.js";
import { h } from "../dom.js";
import { count, duration, NONE, number, percent } from "../format.js";
import { indexOf, loadedVersion, shownVersion } from "../selectors.js";
import { keep } from "./keep.js";
import { ifMayChange, readOnlyNote } from "./permitted.js";
import { badge } from "./verdict.js";

/** @import { Lineage, On, Rollout, Shown, VersionState } from "../types" */

const FIRST_SHARE = 0.1;

const COLUMNS = ["Version", "Role", "Requests", "Errors", "Median", "Slowest 1 %", "Inputs", "Actions"];
const AMOUNTS = new Set(["Requests", "Errors", "Median", "Slowest 1 %"]);

/** Newest first. @param {Shown} state */
export function versions(state) {
  const { rollout } = state;
  if (rollout === null) return h("p", { class: "muted" }, "\u2026");
  const heading = (/** @type {string} */ name) => h("th", { scope: "col", role: "columnheader" }, name);
  return [
    h(
      "table",
      { class: "list stacked", role: "table" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, COLUMNS.map(heading))),
      h(
        "tbody",
        { role: "rowgroup" },
        rollout.versions.toReversed().map((one) => row(state, rollout, one)),
      ),
    ),
    keep(`${state.model}-versions`, () => rollout.versions.map((one) => record(state, one)), "#versions table"),
    modelActions(rollout),
    readOnlyNote(),
    !rollout.pinned && h("p", { class: "note" }, "The newest version is the default, until one is promoted."),
  ];
}

/** @param {Shown} state @param {Rollout} rollout @param {VersionState} one */
function row(state, rollout, one) {
  const entry = indexOf(state, state.model).find((other) => other.version === one.version);
  const isShown = shownVersion(state) === one.version;
  const cells = [
    [roles(one, rollout, entry?.reason || "not loaded"), comparison(one.compared)],
    count(one.requests),
    count(one.errors),
    milliseconds(one.request_ms.p50),
    milliseconds(one.request_ms.p99),
    drift(loadedVersion(state, state.model, one.version)),
    h("span", { class: "decisions" }, one.loaded ? versionActions(one, rollout) : load(one)),
  ];
  return h(
    "tr",
    { key: one.version, role: "row" },
    h(
      "th",
      { scope: "row", role: "rowheader" },
      h(
        "a",
        {
          href: link({ model: state.model, tab: "versions", version: one.version }),
          "aria-current": isShown ? "true" : null,
        },
        one.version,
      ),
      one.lineage && h("span", { class: "note" }, origin(one.lineage)),
    ),
    cells.map((cell, at) => {
      const column = COLUMNS[at + 1];
      return h("td", { role: "cell", "data-label": column, class: AMOUNTS.has(column) ? "amount" : null }, cell);
    }),
  );
}

/** A row as a line of a table to keep. @param {Shown} state @param {VersionState} one */
const record = (state, one) => ({
  model: state.model,
  version: one.version,
  roles: one.roles.join(" "),
  loaded: one.loaded,
  origin: one.lineage?.origin ?? null,
  parent: one.lineage?.parent?.version ?? null,
  requests: one.requests,
  errors: one.errors,
  p50_ms: one.request_ms.p50,
  p99_ms: one.request_ms.p99,
  verdict: loadedVersion(state, state.model, one.version)?.verdict ?? null,
  agreement: one.compared?.agreement ?? null,
});

/** @param {number | null} value */
const milliseconds = (value) => (value === null ? NONE : duration(value / 1e3));

/** @param {Lineage} lineage */
const origin = ({ origin, parent }) => (parent ? ` ${origin} from ${parent.version}` : ` ${origin}`);

/** @param {VersionState} one @param {Rollout} rollout @param {string} reason why it is not loaded */
function roles(one, rollout, reason) {
  const words = one.roles.map((role) => (role === "canary" ? `canary ${percent(rollout.canary?.share)}` : role));
  return (one.loaded ? words : [...words, reason]).join(", ") || "only when named";
}

/** A shadow's predictions beside those of the default version. @param {VersionState["compared"]} compared */
function comparison(compared) {
  if (compared === null) return null;
  if (compared.rows === 0) return h("span", { class: "note" }, " nothing compared yet");
  const { agreement, rows, dropped, errors } = compared;
  return h(
    "span",
    { class: "note" },
    agreement === null ? ` ${count(rows)} rows compared` : ` agrees on ${percent(agreement)} of ${count(rows)} rows`,
    `; largest difference ${number(compared.largest_difference)}`,
    dropped > 0 && `; ${count(dropped)} requests not compared`,
    errors > 0 && `; ${count(errors)} errors`,
  );
}

/** @param {ReturnType<typeof loadedVersion>} found */
const drift = (found) => (found?.rows ? badge(found) : NONE);

/** @param {VersionState} one @param {string} verb @param {() => void} onclick */
const button = ({ version }, verb, onclick) =>
  h(
    "button",
    { type: "button", class: "link", "aria-label": `${verb} version ${version}`, onclick, ...ifMayChange() },
    verb,
  );

/** @param {VersionState} one */
const load = (one) => button(one, "Load", () => actions.loadVersion(one.version));

/** @param {VersionState} one @param {Rollout} rollout */
function versionActions(one, rollout) {
  const { version, roles } = one;
  if (roles.includes("default")) return h("span", { class: "muted" }, rollout.pinned ? "promoted" : "newest");
  return [
    button(one, "Promote", () => actions.promote(version)),
    rollout.canary !== null && roles.includes("canary")
      ? [shareForm(version, rollout.canary.share), button(one, "End canary", actions.endCanary)]
      : button(one, "Canary", () => actions.setCanary(version, FIRST_SHARE)),
    roles.includes("shadow")
      ? button(one, "End shadow", actions.endShadow)
      : button(one, "Shadow", () => actions.setShadow(version)),
    roles.length === 0 && button(one, "Unload", () => actions.unloadVersion(version)),
  ];
}

/** The share of a canary. @param {string} version @param {number} share */
function shareForm(version, share) {
  /** @param {On<HTMLFormElement, SubmitEvent>} event */
  const submit = (event) => {
    event.preventDefault();
    actions.setCanary(version, Number(new FormData(event.currentTarget).get("share")) / 100);
  };
  return h(
    "form",
    { class: "share", onsubmit: submit },
    h("input", {
      name: "share",
      type: "number",
      min: 0.1,
      max: 100,
      step: 0.1,
      required: true,
      "aria-label": `Share of version ${version} in per cent`,
      value: Number((share * 100).toPrecision(4)),
    }),
    " % ",
    h("button", { class: "link", ...ifMayChange() }, "Set"),
  );
}

/** @param {Rollout} rollout */
function modelActions({ domains, previous }) {
  const before = previous.at(-1);
  /** @param {string} words @param {() => void} onclick */
  const button = (words, onclick) => h("button", { type: "button", class: "button", onclick, ...ifMayChange() }, words);
  return h(
    "p",
    { class: "actions" },
    before !== undefined && button(`Roll back to ${before}`, () => actions.rollBack(before)),
    domains.length > 0 && button("End the domains", actions.endDomains),
    button("Load new versions", actions.loadModel),
    button("Unload the model", actions.unloadModel),
  );
}
