// @ts-check
/** Images that are dropped, pasted or chosen. */

/**
 * The first image of a drop, a paste or a file input.
 *
 * @param {{ files: FileList | null } | null} source
 */
export function imageOf(source) {
  return [...(source?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? null;
}

/**
 * Pass on images that are dropped on a box or pasted anywhere.
 *
 * @param {HTMLElement} box
 * @param {(image: File) => void} onImage
 */
export function listenForImages(box, onImage) {
  /** @param {DataTransfer | null} transfer */
  const pass = (transfer) => {
    const image = imageOf(transfer);
    if (image !== null) onImage(image);
  };
  box.ondragover = (event) => {
    event.preventDefault();
    box.classList.add("over");
  };
  box.ondragleave = () => box.classList.remove("over");
  box.ondrop = (event) => {
    event.preventDefault();
    box.classList.remove("over");
    pass(event.dataTransfer);
  };
  document.addEventListener("paste", (event) => pass(event.clipboardData));
  // A file that misses the box must not replace the page.
  for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());
}
