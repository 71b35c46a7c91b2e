// @ts-check
/** The address of the page holds the selection, so that it can be shared and gone back to. */

/** @import { Selection } from "./types" */

/**
 * Address of a model, and of a version, a layer and a channel of it.
 *
 * @param {Partial<Selection>} selection
 */
export function link({ model = null, version = null, layer = null, channel = null }) {
  const parts = [model, version ?? "default", layer, channel].filter((part) => part !== null);
  return `#/${parts.map((part) => encodeURIComponent(part)).join("/")}`;
}

/** @returns {Selection} */
export function readAddress() {
  /** @type {string[]} */
  let parts = [];
  try {
    parts = location.hash.slice(2).split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    // Not an address of this page.
  }
  const [model = null, version = "", layer = null, channel = ""] = parts;
  return {
    model,
    version: /^[1-9][0-9]*$/.test(version) ? version : null,
    layer,
    channel: /^[0-9]{1,6}$/.test(channel) ? Number(channel) : null,
  };
}
