// @ts-check
/** The address of the page holds what is selected, so that it can be shared and gone back to. */

/** @import { Selection, Tab } from "./types" */

/** @type {Record<Tab, string>} */
export const TABS = { now: "Now", layers: "Layers", history: "History", versions: "Versions", try: "Try it" };

export const OVERVIEW = "#/";

/**
 * Address of a model's tab, and of a version, a layer and a channel: `#/models/mnist/layers/conv.1/7?version=2`.
 *
 * @param {Partial<Selection>} selection
 */
export function link({ model = null, tab = "now", version = null, layer = null, channel = null }) {
  if (model === null) return OVERVIEW;
  const place = tab === "layers" ? [layer, channel] : [];
  const parts = ["models", model, tab === "now" ? null : tab, ...place].filter((part) => part !== null);
  const path = parts.map((part) => encodeURIComponent(part)).join("/");
  return version === null ? `#/${path}` : `#/${path}?version=${version}`;
}

/** @returns {Selection} */
export function readAddress() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  const version = new URLSearchParams(query).get("version") ?? "";
  /** @type {string[]} */
  let parts = [];
  try {
    parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    // Not an address of this page.
  }
  const [kind, model = null, tab = "now", layer = null, channel = ""] = parts;
  return {
    model: kind === "models" ? model : null,
    tab: tab in TABS ? /** @type {Tab} */ (tab) : "now",
    version: /^[1-9][0-9]*$/.test(version) ? version : null,
    layer,
    channel: /^[0-9]{1,6}$/.test(channel) ? Number(channel) : null,
  };
}
