/** Calls to the service. Addresses are relative to the page, so that it may live under any path. */

let token = null; // in memory only: it goes with the page
let ask = async () => null;

/** An answer that is no success. */
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Say how to ask a person for a token: `ask(what it is for)` gives it, or null. */
export function askWith(asking) {
  ask = asking;
}

/** Whether a token is kept. */
export const hasToken = () => token !== null;

/** Let go of it. */
export function forgetToken() {
  token = null;
}

/** The path of a model, or of one of its versions. */
export function pathOf(model, version = null) {
  const base = `v2/models/${encodeURIComponent(model)}`;
  return version === null ? base : `${base}/versions/${encodeURIComponent(version)}`;
}

/** Read. */
export async function get(path, signal) {
  return answer(await call(path, { signal }));
}

/** Send JSON or a file. Where the service wants a token, a person is asked for it, once more if it was wrong. */
export async function send(method, path, body = undefined) {
  const file = body instanceof Blob;
  const options = { method, body: file || body === undefined ? body : JSON.stringify(body), headers: {} };
  if (body !== undefined) options.headers["Content-Type"] = file ? body.type : "application/json";
  for (;;) {
    if (token !== null) options.headers.Authorization = `Bearer ${token}`;
    try {
      return await answer(await call(path, options));
    } catch (failure) {
      if (failure.status !== 401 && !(failure.status === 403 && token !== null)) throw failure;
      const wanted = await ask(failure.message);
      if (wanted === null) throw failure;
      token = wanted;
    }
  }
}

async function call(path, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "the service does not answer");
  }
}

async function answer(response) {
  let body;
  try {
    body = await response.json();
  } catch {
    body = null;
  }
  if (!response.ok) throw new Failure(response.status, body?.error ?? `the service answered ${response.status}`);
  return body;
}
