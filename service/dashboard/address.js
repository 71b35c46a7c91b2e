/** The address says what is chosen, so that it can be shared and gone back to. */

/** The address of a model, of a version, a layer, a channel. */
export function link({ model, version = null, layer = null, channel = null }) {
  const parts = [
    model,
    version ?? "default",
    ...(layer === null ? [] : [layer]),
    ...(channel === null ? [] : [channel]),
  ];
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

/** What the address says. */
export function readAddress() {
  let parts = [];
  try {
    parts = location.hash.slice(2).split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    // Not an address of this page.
  }
  const [model = null, version = null, layer = null, channel = ""] = parts;
  return {
    model,
    version: /^[1-9][0-9]*$/.test(version ?? "") ? version : null,
    layer,
    channel: /^[0-9]{1,6}$/.test(channel) ? Number(channel) : null,
  };
}
