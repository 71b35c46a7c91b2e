// @ts-check
/** Drawings and tables to keep. */

const SCALE = 2;
const SVG = "http://www.w3.org/2000/svg";

/** What a picture takes from the style sheet. */
const STYLES = [
  ...["display", "position", "inset", "translate", "box-sizing", "overflow", "width", "height", "min-width"],
  ...["grid-template-columns", "grid-template-rows", "grid-column", "place-items", "gap", "flex", "flex-wrap"],
  ...[
    "align-items",
    "align-self",
    "justify-content",
    "padding",
    "margin",
    "border",
    "border-radius",
    "border-collapse",
  ],
  ...["border-top", "border-bottom", "table-layout", "vertical-align", "text-align", "white-space", "overflow-wrap"],
  ...[
    "font-family",
    "font-size",
    "font-weight",
    "line-height",
    "font-variant-numeric",
    "letter-spacing",
    "color",
    "background",
    "box-shadow",
    "outline",
    "clip-path",
  ],
  ...["fill", "stroke", "stroke-width", "stroke-dasharray", "vector-effect", "opacity", "list-style", "appearance"],
];

/** @param {string} name of the file @param {Blob} content */
function save(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Save records as CSV (RFC 4180). @param {string} name @param {Array<Record<string, unknown>>} records at least one */
export function saveTable(name, records) {
  const columns = [...new Set(records.flatMap(Object.keys))];
  const lines = [columns, ...records.map((record) => columns.map((column) => record[column]))];
  save(name, new Blob([`${lines.map((line) => line.map(field).join(",")).join("\r\n")}\r\n`], { type: "text/csv" }));
}

/** @param {unknown} value */
function field(value) {
  const text = String(value ?? "");
  // A text that begins like a formula is not to be run by a spreadsheet: names of layers are chosen by users.
  const safe = typeof value === "string" && /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Save a part of the page as it is shown, all of it where it scrolls. @param {string} name of the file @param {string} selector */
export async function savePicture(name, selector) {
  const shown = /** @type {HTMLElement | SVGSVGElement} */ (document.querySelector(selector));
  const { width, height } = shown.getBoundingClientRect();
  const size = { width: Math.max(width, shown.scrollWidth), height: Math.max(height, shown.scrollHeight) };
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(pictureOf(shown, size)))}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [size.width * SCALE, size.height * SCALE];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = getComputedStyle(document.documentElement).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((content) => content && save(name, content));
}

/** A drawing that needs no style sheet. @param {HTMLElement | SVGSVGElement} shown @param {{ width: number, height: number }} size */
function pictureOf(shown, { width, height }) {
  const picture = document.createElementNS(SVG, "svg");
  const holder = document.createElementNS(SVG, "foreignObject");
  for (const one of [picture, holder]) {
    one.setAttribute("width", `${width}`);
    one.setAttribute("height", `${height}`);
  }
  const copy = /** @type {typeof shown} */ (shown.cloneNode(true));
  const originals = [shown, ...shown.querySelectorAll("*")];
  const copies = /** @type {Array<HTMLElement | SVGElement>} */ ([copy, ...copy.querySelectorAll("*")]);
  copies.forEach((element, at) => {
    const computed = getComputedStyle(originals[at]);
    for (const style of STYLES) element.style.setProperty(style, computed.getPropertyValue(style));
  });
  copy.style.setProperty("overflow", "visible");
  copy.style.setProperty("max-height", "none");
  copy.style.setProperty("height", `${height}px`);
  holder.append(copy);
  picture.append(holder);
  return picture;
}
