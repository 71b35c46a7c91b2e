// @ts-check
/** All models, one row each, and the service's own health in one line. */

import { link } from "../address.js";
import { sparkline } from "../charts.js";
import { h } from "../dom.js";
import { compact, count, duration, megabytes, NONE, number, percent } from "../format.js";
import { requestRate } from "../selectors.js";
import { update } from "../state.js";
import { keep } from "./keep.js";
import { badge } from "./verdict.js";

/** @import { Column, Content, LoadedVersion, ModelSummary, On, Overview, State } from "../types" */

const SEARCHED_FROM = 8;
const MOST_ROWS = 50;

/** @type {Record<Column, string>} */
const COLUMNS = {
  name: "Model",
  state: "State",
  requests: "Requests/s",
  p99: "Slowest 1 %",
  errors: "Errors",
  version: "Version",
  accuracy: "Right, estimated",
  drift: "Change, last hour",
};
const AMOUNTS = new Set(["requests", "p99", "errors", "accuracy"]);

/** A model with what its row shows. @typedef {{ model: ModelSummary, version: LoadedVersion | null, rate: number }} Row */

/** @param {State} state */
export function overview(state) {
  const { overview, search } = state;
  if (overview === null) return h("p", { class: "headline" }, "\u2026");
  const rows = overview.models
    .filter(({ name }) => name.toLowerCase().includes(search.toLowerCase()))
    .map((model) => ({
      model,
      version: model.loaded.find((one) => one.is_default) ?? null,
      rate: requestRate(state, model.name),
    }));
  return [
    headline(overview),
    h("p", { class: "health" }, health(state, overview)),
    overview.models.length > SEARCHED_FROM && searchField(search),
    table(state, rows),
    rows.length > MOST_ROWS &&
      !state.showsAllModels &&
      h(
        "p",
        null,
        `${count(MOST_ROWS)} of ${count(rows.length)} are listed. `,
        h(
          "button",
          { type: "button", class: "link", onclick: () => update({ showsAllModels: true }) },
          `List all ${count(rows.length)}`,
        ),
      ),
    rows.length > 0 && keep("models", () => rows.map(record), "#models table"),
    rows.length === 0 && search !== "" && h("p", { class: "muted" }, `No model has "${search}" in its name.`),
    welcome(overview),
  ];
}

/**
 * A version with an open alarm among those that answer requests which name only the model. An alarm of a version that was
 * replaced is shown under Versions: nobody waits for it.
 *
 * @param {ModelSummary} model
 */
const alarmed = ({ loaded }) =>
  loaded.find((one) => one.alarm && (one.is_default || one.canary_share !== null)) ?? null;

/** @param {Overview} overview */
function headline({ models }) {
  const open = models.filter(alarmed).length;
  const missing = models.filter(({ loaded }) => loaded.length === 0).length;
  const all = models.length === 1 ? "The model is" : `All ${count(models.length)} models are`;
  const words =
    open > 0
      ? `${count(open)} of ${count(models.length)} ${models.length === 1 ? "model" : "models"} ${open === 1 ? "has" : "have"} an open alarm`
      : missing > 0
        ? `No alarm; ${count(missing)} of ${count(models.length)} not loaded`
        : `${all} served, no alarm`;
  return h("p", { class: "headline", "data-verdict": open > 0 ? "covariate_shift" : "quiet" }, words);
}

/** @param {State} state @param {Overview} overview */
function health({ busyCores, replicas }, { health }) {
  const words = [
    health.pending === 0 ? "No request waits" : `${count(health.pending)} requests wait or run`,
    busyCores === null ? null : `${number(busyCores)} of ${count(health.cores)} cores busy`,
    health.memory_bytes > 0 && `${megabytes(health.memory_bytes)} of memory`,
    health.providers.length > 0 && `runs on ${health.providers.map(providerName).join(", ")}`,
    replicas !== null && replicas.replicas.length > 1 && `${count(replicas.replicas.length)} replicas`,
  ];
  return words.filter(Boolean).join(" \u00b7 ");
}

/** @param {string} provider */
const providerName = (provider) => provider.replace("ExecutionProvider", "");

/** @param {string} search */
function searchField(search) {
  const change = (/** @type {On<HTMLInputElement>} */ event) => update({ search: event.currentTarget.value });
  return h(
    "p",
    { class: "search" },
    h(
      "label",
      null,
      h("span", { class: "visually-hidden" }, "Search models by name"),
      h("input", {
        type: "search",
        placeholder: "Search models",
        value: search,
        oninput: change,
      }),
    ),
  );
}

/** @param {State} state @param {Row[]} rows */
function table(state, rows) {
  const { sort } = state;
  const columns = /** @type {Column[]} */ (Object.keys(COLUMNS));
  return h(
    "table",
    { class: "list stacked overview", role: "table" },
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        columns.map((name) =>
          h(
            "th",
            {
              scope: "col",
              role: "columnheader",
              class: AMOUNTS.has(name) ? "amount" : null,
              "aria-sort": sort.by !== name ? null : sort.isDescending ? "descending" : "ascending",
            },
            h("button", { type: "button", class: "sort", onclick: () => sortBy(state, name) }, COLUMNS[name]),
          ),
        ),
      ),
    ),
    h("tbody", { role: "rowgroup" }, listed(rows, state).map(row)),
  );
}

/** @param {Row} row */
function row({ model, version, rate }) {
  /** @type {Array<[Column, Content]>} */
  const cells = [
    ["state", version ? badge(alarmed(model) ?? version) : h("span", { class: "badge" }, reason(model))],
    ["requests", rate === 0 && model.requests === 0 ? NONE : number(rate)],
    ["p99", model.p99_ms === null ? NONE : duration(model.p99_ms / 1e3)],
    ["errors", model.errors === 0 ? "0" : h("span", { class: "failure" }, compact(model.errors))],
    ["version", versions(model, version)],
    ["accuracy", accuracy(version)],
    [
      "drift",
      sparkline(
        (version?.drift ?? []).map((size) => size ?? NaN),
        140,
        26,
      ),
    ],
  ];
  return h(
    "tr",
    { key: model.name, role: "row" },
    h("th", { scope: "row", role: "rowheader" }, h("a", { href: link({ model: model.name }) }, model.name)),
    cells.map(([name, cell]) =>
      h("td", { role: "cell", "data-label": COLUMNS[name], class: AMOUNTS.has(name) ? "amount" : null }, cell),
    ),
  );
}

/** @param {LoadedVersion | null} version */
function accuracy(version) {
  const found = version?.estimated_accuracy ?? null;
  if (found === null) return NONE;
  return h("span", { title: `${percent(found.low)} to ${percent(found.high)}` }, percent(found.value));
}

/** @param {ModelSummary} model */
const reason = ({ index }) => {
  const last = index.at(-1)?.reason ?? "";
  return last === "" || last === "not loaded" ? "Not loaded" : `Not loaded: ${last}`;
};

/** @param {ModelSummary} model @param {LoadedVersion | null} version */
function versions({ loaded }, version) {
  const roles = loaded.flatMap((one) => [
    ...(one.canary_share === null ? [] : [`${one.version} gets ${percent(one.canary_share)}`]),
    ...(one.is_shadow ? [`${one.version} is compared`] : []),
  ]);
  return [version?.version ?? NONE, roles.length > 0 && h("span", { class: "note" }, `, ${roles.join(", ")}`)];
}

/** @param {State} state @param {Column} by */
const sortBy = ({ sort }, by) =>
  update({ sort: { by, isDescending: sort.by === by ? !sort.isDescending : by !== "name" } });

/** What each column is sorted by. @type {Record<Column, (row: Row) => number | string>} */
const VALUES = {
  name: ({ model }) => model.name,
  state: ({ model, version }) => (alarmed(model) ? 2 : version === null ? 1 : 0),
  requests: ({ rate }) => rate,
  p99: ({ model }) => model.p99_ms ?? -1,
  errors: ({ model }) => model.errors,
  version: ({ version }) => Number(version?.version ?? 0),
  accuracy: ({ version }) => version?.estimated_accuracy?.value ?? 2,
  drift: ({ version }) => version?.drift.findLast((size) => size !== null) ?? -1,
};

/** Rows with equal values stay in the order of their names. @param {Row[]} rows @param {State} state */
function sorted(rows, { sort: { by, isDescending } }) {
  const value = VALUES[by];
  const sign = isDescending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [first, second] = [value(a), value(b)];
    if (typeof first === "string" && typeof second === "string") return sign * first.localeCompare(second);
    return sign * (Number(first) - Number(second));
  });
}

/** Rows in order; of many, the first ones. @param {Row[]} rows @param {State} state */
function listed(rows, state) {
  const all = sorted(rows, state);
  return state.showsAllModels ? all : all.slice(0, MOST_ROWS);
}

/** A row as a line of a table to keep. @param {Row} row */
const record = ({ model, version, rate }) => ({
  model: model.name,
  version: version?.version ?? null,
  verdict: version?.verdict ?? null,
  alarm: version?.alarm ?? null,
  requests_per_second: rate,
  p99_ms: model.p99_ms,
  errors: model.errors,
  estimated_accuracy: version?.estimated_accuracy?.value ?? null,
});

/** Where to begin, before the first request. @param {Overview} overview */
function welcome({ models }) {
  const first = models.find(({ loaded }) => loaded.length > 0);
  const isUsed = models.some(({ requests, loaded }) => requests > 0 || loaded.some(({ rows }) => rows > 0));
  if (first === undefined || isUsed) return null;
  return h(
    "p",
    { class: "welcome" },
    "No requests yet. ",
    h("a", { href: link({ model: first.name, tab: "try" }) }, `Try ${first.name}`),
    " and see in a minute what this page is for.",
  );
}
