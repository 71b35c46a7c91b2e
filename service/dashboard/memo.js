// @ts-check
/** Large parts of the page that are described again only when something has changed that they show. */

/**
 * The same function, which returns its last result while its arguments are the same objects: drawing skips it then.
 *
 * @template {unknown[]} Arguments
 * @template Result
 * @param {(...given: Arguments) => Result} describe
 * @returns {(...given: Arguments) => Result}
 */
export function remembered(describe) {
  /** @type {{ given: Arguments, result: Result } | null} */
  let last = null;
  return (...given) => {
    if (last === null || given.some((one, at) => one !== last?.given[at])) last = { given, result: describe(...given) };
    return last.result;
  };
}
