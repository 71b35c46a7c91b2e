// @ts-check
/**
 * Elements as plain objects, and the least change that makes the page show them.
 *
 * Focus, selection and scroll position survive, since elements that are already there stay. Text only ever becomes text.
 */

/** @import { Content, Properties, VirtualElement } from "./types" */

/** @typedef {VirtualElement | string | number} Child */

const SVG = "http://www.w3.org/2000/svg";

/** Properties that are the element's own, and no attributes. */
const OWN = new Set(["value", "defaultValue", "checked", "disabled"]);

/** What each element was last drawn from: the same object needs no drawing. @type {WeakMap<Node, VirtualElement>} */
const drawn = new WeakMap();

/** Properties that each element was last given, so that those that are left out are removed. @type {WeakMap<Node, Properties>} */
const given = new WeakMap();

/**
 * Describe an element.
 *
 * Properties: `on...` are listeners, `key` tells siblings apart, `value`, `defaultValue`, `checked` and `disabled` are the element's own,
 * `style` is an object, and all others are attributes, absent where null or false.
 *
 * @param {string} tag
 * @param {Properties | null} [properties]
 * @param {...Content} children
 * @returns {VirtualElement}
 */
export function h(tag, properties, ...children) {
  return { tag, properties: properties ?? {}, children: flatten(children) };
}

/** Make an element hold exactly these children. @param {Element} parent @param {...Content} children */
export function render(parent, ...children) {
  reconcile(parent, flatten(children));
}

/** @param {string} id @returns {HTMLElement} */
export function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element '${id}'`);
  return found;
}

/** @param {Content[]} children @returns {Child[]} */
function flatten(children) {
  return /** @type {any[]} */ (children)
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false);
}

/** @param {Element} parent @param {Child[]} children */
function reconcile(parent, children) {
  const keys = new Set(children.map(keyOf));
  const kept = new Map();
  for (const node of [...parent.childNodes]) {
    const key = given.get(node)?.key;
    if (key === undefined) continue;
    if (keys.has(key)) kept.set(key, node);
    else node.remove();
  }
  /** @type {ChildNode | null} */
  let cursor = parent.firstChild;
  for (const child of children) {
    const key = keyOf(child);
    let node = key === undefined ? cursor : (kept.get(key) ?? null);
    if (node === null || !matches(node, child)) {
      node = create(parent, child);
      parent.insertBefore(node, cursor);
    } else if (node === cursor) {
      cursor = node.nextSibling;
    } else {
      parent.insertBefore(node, cursor);
    }
    if (typeof child === "object") {
      if (drawn.get(node) === child) continue;
      drawn.set(node, child);
      assign(/** @type {HTMLElement} */ (node), child.properties);
      reconcile(/** @type {Element} */ (node), child.children);
    } else if (node.nodeValue !== String(child)) {
      node.nodeValue = String(child);
    }
  }
  while (cursor !== null) {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
}

/** @param {Child} child */
function keyOf(child) {
  return typeof child === "object" ? child.properties.key : undefined;
}

/** @param {Node} node @param {Child} child */
function matches(node, child) {
  if (typeof child !== "object") return node instanceof Text;
  return node instanceof Element && node.localName === child.tag && given.get(node)?.key === child.properties.key;
}

/** @param {Element} parent @param {Child} child @returns {ChildNode} */
function create(parent, child) {
  if (typeof child !== "object") return document.createTextNode(String(child));
  const isSvg = child.tag === "svg" || parent.namespaceURI === SVG;
  return isSvg ? document.createElementNS(SVG, child.tag) : document.createElement(child.tag);
}

/** @param {HTMLElement} node @param {Properties} properties */
function assign(node, properties) {
  const before = given.get(node) ?? {};
  for (const name of Object.keys(before)) {
    if (!(name in properties)) set(node, name, null, before[name]);
  }
  for (const [name, value] of Object.entries(properties)) set(node, name, value, before[name]);
  given.set(node, properties);
}

/** @param {HTMLElement} node @param {string} name @param {any} value @param {any} before */
function set(node, name, value, before) {
  if (name === "key") return;
  if (name === "style") restyle(node, value ?? {}, before ?? {});
  else if (value === before) return;
  else if (name.startsWith("on")) Object.assign(node, { [name]: value });
  else if (OWN.has(name)) Object.assign(node, { [name]: value ?? "" });
  else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : String(value));
}

/** @param {HTMLElement} node @param {Record<string, string>} style @param {Record<string, string>} before */
function restyle(node, style, before) {
  for (const name of Object.keys(before)) if (!(name in style)) node.style.removeProperty(name);
  for (const [name, text] of Object.entries(style)) {
    if (before[name] !== text) node.style.setProperty(name, text);
  }
}
