// @ts-check
/** Requests to the service. Paths are relative to the page, so that it works under any path. */

const KEY = "denge-token";

/** Of this tab only: closing it forgets the token. @type {string | null} */
let token = readToken();

/** @type {(reason: string) => Promise<string | null>} */
let promptForToken = async () => null;

let onTokenChange = () => {};

/** Set what is done when a token is given or forgotten. @param {() => void} react */
export function setTokenListener(react) {
  onTokenChange = react;
}

/** A response that is not a success, or none: then the status is 0. */
export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Set what asks the user for a token and returns it, or null. @param {typeof promptForToken} prompt */
export function setTokenPrompt(prompt) {
  promptForToken = prompt;
}

export const hasToken = () => token !== null;

/** @param {string | null} given null to forget it */
export function setToken(given) {
  token = given;
  try {
    if (given === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, given);
  } catch {
    // The browser stores nothing: the token lasts until the page is left.
  }
  onTokenChange();
}

/** @returns {string | null} */
function readToken() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/**
 * Path of a model, or of one of its versions.
 *
 * @param {string} model
 * @param {string | null} [version]
 */
export function pathOf(model, version = null) {
  const base = `v2/models/${encodeURIComponent(model)}`;
  return version === null ? base : `${base}/versions/${encodeURIComponent(version)}`;
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function get(path) {
  return decode(await request(path, {}));
}

/**
 * Send JSON or a file. The user is asked for a token where one is required, and again where it is refused.
 *
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {(response: Response) => Promise<any>} [read] the body of a response; by default as JSON
 * @returns {Promise<any>}
 */
export async function send(method, path, body, read = decode) {
  /** @type {Record<string, string>} */
  const headers = {};
  /** @type {RequestInit} */
  const options = { method, headers };
  if (body instanceof Blob) {
    options.body = body;
    headers["Content-Type"] = body.type;
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  for (;;) {
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    try {
      return await read(await request(path, options));
    } catch (error) {
      const isRefused = error instanceof ApiError && (error.status === 401 || (error.status === 403 && token !== null));
      const given = isRefused ? await promptForToken(error.message) : null;
      if (given === null) throw error;
      setToken(given);
    }
  }
}

/** @param {string} path @param {RequestInit} options */
async function request(path, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch {
    throw new ApiError(0, "the service does not respond");
  }
}

/** An image, and the seed that it was made from. @param {Response} response */
export async function readImage(response) {
  if (!response.ok) return decode(response);
  return { image: await response.blob(), seed: response.headers.get("X-Seed") };
}

/** @param {Response} response */
async function decode(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // Not JSON: the status has to do.
  }
  if (!response.ok) throw new ApiError(response.status, body?.error ?? `the service responded with ${response.status}`);
  return body;
}
