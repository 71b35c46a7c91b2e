/**
 * Elements as plain objects, and the least change that makes the page show them.
 *
 * Focus, selection and scroll survive, since what is already there stays. Text only ever becomes text.
 */

const SVG = "http://www.w3.org/2000/svg";

/** What an element was last given, so that what is no longer given goes. */
const given = new WeakMap();

/**
 * An element to be shown.
 *
 * Properties: `on...` are listeners, `key` tells siblings apart, `value`, `checked` and `disabled` are the element's own,
 * `style` is an object, and all others are attributes, absent where null or false.
 */
export function h(tag, properties, ...children) {
  return { tag, properties: properties ?? {}, children: flatten(children) };
}

/** Make an element hold exactly these children. */
export function render(parent, ...children) {
  reconcile(parent, flatten(children));
}

function flatten(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

function reconcile(parent, wanted) {
  const keys = new Set(wanted.map(keyOf));
  const kept = new Map();
  for (const node of [...parent.childNodes]) {
    const key = given.get(node)?.key;
    if (key === undefined) continue;
    if (keys.has(key)) kept.set(key, node);
    else node.remove();
  }
  let cursor = parent.firstChild;
  for (const child of wanted) {
    const key = keyOf(child);
    let node = key === undefined ? cursor : (kept.get(key) ?? null);
    if (!matches(node, child)) {
      node = create(parent, child);
      parent.insertBefore(node, cursor);
    } else if (node === cursor) {
      cursor = cursor.nextSibling;
    } else {
      parent.insertBefore(node, cursor);
    }
    if (typeof child === "object") {
      assign(node, child.properties);
      reconcile(node, child.children);
    } else if (node.data !== String(child)) {
      node.data = String(child);
    }
  }
  while (cursor) {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
}

function keyOf(child) {
  return typeof child === "object" ? child.properties.key : undefined;
}

function matches(node, child) {
  if (!node) return false;
  if (typeof child !== "object") return node.nodeType === Node.TEXT_NODE;
  return node.nodeType === Node.ELEMENT_NODE && node.localName === child.tag && given.get(node)?.key === keyOf(child);
}

function create(parent, child) {
  if (typeof child !== "object") return document.createTextNode(String(child));
  const svg = child.tag === "svg" || parent.namespaceURI === SVG;
  return svg ? document.createElementNS(SVG, child.tag) : document.createElement(child.tag);
}

function assign(node, properties) {
  const before = given.get(node) ?? {};
  for (const name of Object.keys(before)) {
    if (!(name in properties)) set(node, name, null, before[name]);
  }
  for (const [name, value] of Object.entries(properties)) set(node, name, value, before[name]);
  given.set(node, properties);
}

function set(node, name, value, before) {
  if (name === "key") return;
  if (name.startsWith("on")) node[name] = value;
  else if (name === "style") restyle(node, value ?? {}, before ?? {});
  else if (value === before) return;
  else if (name === "value" || name === "checked" || name === "disabled") node[name] = value ?? "";
  else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : String(value));
}

function restyle(node, value, before) {
  for (const name of Object.keys(before)) if (!(name in value)) node.style.removeProperty(name);
  for (const [name, text] of Object.entries(value)) {
    if (before[name] !== text) node.style.setProperty(name, text);
  }
}
