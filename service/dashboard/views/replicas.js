// @ts-check
/** The replicas that serve together, and the store that they share. */

import { h } from "../dom.js";
import { count, date } from "../format.js";
import { keep } from "./keep.js";
import { stackedTable } from "./tables.js";

/** @import { ReplicaList, State } from "../types" */

/** Nothing for a service of one process, which shares nothing; beside a model, only trouble. @param {State} state */
export function replicas({ replicas: list, model }) {
  if (list === null || list.store.name === "memory" || (model !== null && list.store.available)) return null;
  return h(
    "details",
    { class: "replicas", open: !list.store.available },
    h("summary", null, summary(list)),
    !list.store.available &&
      h(
        "p",
        { class: "failure" },
        `The store ${list.store.name} does not answer since ${date(list.store.unavailable_since ?? "")}. `,
        "Predictions go on; changes are refused, and statistics of other replicas are missing.",
      ),
    stackedTable(
      "Replicas",
      ["Replica", "Version", "Since", "Requests", "Catalog", "State"],
      list.replicas.map(({ id, version, since, requests, catalog_revision, state, is_this }) => [
        [id, is_this && " (this one)"],
        version,
        date(since),
        count(requests),
        String(catalog_revision),
        state,
      ]),
    ),
    keep("replicas", () => list.replicas.map((one) => ({ ...one })), ".replicas table"),
  );
}

/** @param {ReplicaList} list */
function summary({ replicas, store }) {
  if (!store.available) return "The store does not answer";
  if (replicas.length === 1) return "1 replica";
  const agree = new Set(replicas.map((replica) => replica.catalog_revision)).size === 1;
  return `${count(replicas.length)} replicas, which ${agree ? "serve the same" : "do not serve the same yet"}`;
}
