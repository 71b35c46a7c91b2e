// @ts-check
/** Who is signed in, and what the page may do. */

import { signIn, signOut } from "../actions.js";
import { hasToken } from "../api.js";
import { h } from "../dom.js";
import { REASON_ID } from "./permitted.js";

/** @import { Permissions, State } from "../types" */

/** @type {Record<NonNullable<Permissions["token"]>, string>} */
const TOKENS = {
  admin: "Signed in",
  api_key: "Signed in, predictions only",
  unknown: "This token is not valid",
};

/** Nothing where everyone may do everything. @param {State} state */
export function account({ access }) {
  if (access === null) return null;
  const { may_change: mayChange, may_predict: mayPredict } = access;
  if (hasToken()) {
    return [
      h("span", { id: REASON_ID }, TOKENS[access.token ?? "unknown"]),
      h("button", { type: "button", class: "link", onclick: signOut }, "Sign out"),
    ];
  }
  if (mayChange) return null;
  return [
    h(
      "span",
      { id: REASON_ID, title: "What is served can be looked at, and not changed" },
      mayPredict ? "Read only" : "Read only, no predictions",
    ),
    h("button", { type: "button", class: "link", onclick: signIn }, "Sign in"),
  ];
}
