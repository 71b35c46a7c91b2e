// @ts-check
/** The node of a row of the graph, and the lines that enter, leave and pass it. */

import { h } from "../dom.js";

/** @import { Line, PlacedRow } from "../topology.js" */

const LANE_PIXELS = 16;
/** More lanes than fit into this stand closer. */
const MOST_PIXELS = 112;

/** How many lanes the rows have. @param {PlacedRow[]} rows */
export const laneCount = (rows) =>
  1 + Math.max(0, ...rows.flatMap(({ lane, lines }) => [lane ?? 0, ...lines.map(({ to }) => to ?? 0)]));

/**
 * As high as the row's text.
 *
 * @param {PlacedRow} row
 * @param {number} lanes of all rows
 * @param {number | string | null} step colour of the node; null for one that is no layer
 * @param {(line: Line) => boolean} isNear whether a line leads to or from the selected layer
 */
export function rails({ lane, lines }, lanes, step, isNear) {
  const width = Math.min(LANE_PIXELS, MOST_PIXELS / lanes);
  /** @param {number | null} at */
  const x = (at) => ((at ?? lane ?? 0) + 0.5) * width;
  /** @param {Line} line */
  const path = ({ from, to }) => {
    const [top, bottom] = [from === null ? 50 : 0, to === null ? 50 : 100];
    const middle = (top + bottom) / 2;
    return `M${x(from)} ${top}C${x(from)} ${middle} ${x(to)} ${middle} ${x(to)} ${bottom}`;
  };
  return h(
    "span",
    {
      class: width < LANE_PIXELS / 2 ? "rails dense" : "rails",
      "aria-hidden": "true",
      style: { width: `${lanes * width}px` },
    },
    h(
      "svg",
      { viewBox: `0 0 ${lanes * width} 100`, preserveAspectRatio: "none" },
      lines.map((line) => h("path", { class: isNear(line) ? "near" : null, d: path(line) })),
    ),
    lane !== null && h("span", { class: "dot", "data-step": step, style: { left: `${x(lane)}px` } }),
  );
}
