// @ts-check
/** Drawings and tables to keep. */

const SCALE = 2;

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

/** Save a drawing as it is shown. @param {string} name of the file @param {string} selector of the drawing */
export async function saveDrawing(name, selector) {
  const drawn = /** @type {SVGSVGElement} */ (document.querySelector(selector));
  const { width, height } = drawn.viewBox.baseVal;
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(withStyles(drawn)))}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width * SCALE, height * SCALE];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = getComputedStyle(document.documentElement).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((content) => content && save(name, content));
}

const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size"];

/** A copy that needs no style sheet. @param {SVGSVGElement} drawn */
function withStyles(drawn) {
  const copy = /** @type {SVGSVGElement} */ (drawn.cloneNode(true));
  const originals = drawn.querySelectorAll("*");
  copy.querySelectorAll("*").forEach((element, at) => {
    const computed = getComputedStyle(originals[at]);
    for (const style of STYLES) element.setAttribute(style, computed.getPropertyValue(style));
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return copy;
}
