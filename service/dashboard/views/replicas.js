// @ts-check
/** The replicas that serve together, and the store that they share. */

import { h } from "../dom.js";
import { count, date } from "../format.js";
import { columnHeadings } from "./tables.js";

/** @import { ReplicaList, State } from "../types" */

/** Nothing for a service of one process, which shares nothing. @param {State} state */
export function replicas({ replicas: list }) {
  if (list === null || list.store.name === "memory") return null;
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
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Replicas" },
      h(
        "table",
        { class: "numbers" },
        columnHeadings("Replica", "Version", "Since", "Requests", "Catalog", "State"),
        h(
          "tbody",
          null,
          list.replicas.map((replica) =>
            h(
              "tr",
              { key: replica.id },
              h("th", { scope: "row" }, replica.id, replica.is_this && " (this one)"),
              h("td", null, replica.version),
              h("td", null, date(replica.since)),
              h("td", null, count(replica.requests)),
              h("td", null, String(replica.catalog_revision)),
              h("td", null, replica.state),
            ),
          ),
        ),
      ),
    ),
  );
}

/** @param {ReplicaList} list */
function summary({ replicas, store }) {
  if (!store.available) return "The store does not answer";
  if (replicas.length === 1) return "1 replica";
  const agree = new Set(replicas.map((replica) => replica.catalog_revision)).size === 1;
  return `${count(replicas.length)} replicas, which ${agree ? "serve the same" : "do not serve the same yet"}`;
}
