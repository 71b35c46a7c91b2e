// @ts-check
/** What a user can do to the service. */

import * as api from "./api.js";
import { askForToken, confirmed } from "./dialogs.js";
import { percent } from "./format.js";
import { refresh } from "./poller.js";
import { shownPath } from "./selectors.js";
import { current, update } from "./state.js";

/** @import { CanaryChoice, Generated, GenerationRequest, Job, Pending, Promotion, RecalibrationRequest, ReferenceRequest, ShadowChoice, Trial } from "./types" */

/**
 * Send a request that changes the service, and say how it went.
 *
 * @param {string} done what to say where it succeeds
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function act(done, method, path, body) {
  update({ notice: null });
  try {
    /** @type {Partial<Pending> | null} */
    const answer = await api.send(method, path, body);
    update({ notice: { text: (answer?.pending && answer.message) ?? done, isFailure: false } });
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    update({ notice: { text: error.message, isFailure: true } });
  }
  refresh();
}

const modelPath = () => api.pathOf(current().model ?? "");

// --------------------------------------------------------------------------------------------------------- predictions

/** Predict an image with the version that is shown. @param {Blob} image */
export async function predictImage(image) {
  const { trial, card } = current();
  if (!card?.preprocessing) return;
  if (trial !== null) URL.revokeObjectURL(trial.sent);
  await predict(URL.createObjectURL(image), image);
}

/** Predict a text with the version that is shown. @param {string} text */
export const predictText = (text) => predict(text, { text });

/**
 * Send a request for one prediction, and show it when it is there.
 *
 * @param {string} sent what the result is shown beside
 * @param {Blob | { text: string }} body
 */
async function predict(sent, body) {
  await showOutcome(sent, async () => ({
    prediction: await api.send("POST", `${shownPath(current())}/predict?layer_statistics=true`, body),
  }));
}

/** Predict rows that are written as JSON, with the version that is shown. @param {string} text */
export async function predictRows(text) {
  await showOutcome(text, async () => {
    const request = parseRequest(text);
    const scored = current().card?.unavailable.layer_statistics === undefined;
    const parameters = { ...request.parameters, ...(scored && { layer_statistics: true }) };
    return { outputs: await api.send("POST", `${shownPath(current())}/infer`, { ...request, parameters }) };
  });
}

/** @param {string} text @returns {{ parameters?: Record<string, unknown> }} */
function parseRequest(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new api.ApiError(400, `This is no JSON: ${/** @type {Error} */ (error).message}`);
  }
}

/** Show what was sent, and what comes of it when it is there. @param {string} sent @param {() => Promise<Partial<Trial>>} ask */
async function showOutcome(sent, ask) {
  update({ trial: { sent, prediction: null, outputs: null, failure: null } });
  let outcome;
  try {
    outcome = await ask();
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    outcome = { failure: error.message };
  }
  // Another one may have been sent meanwhile.
  update(({ trial }) => (trial?.sent === sent ? { trial: { ...trial, ...outcome } } : {}));
}

/** Generate images with the version that is shown. @param {GenerationRequest} request */
export async function generateImages(request) {
  const before = current().generated?.address;
  const count = request.count ?? 1;
  /** @type {Generated} */
  let generated;
  try {
    const { image, seed } = await api.send("POST", `${shownPath(current())}/generate`, request, api.readImage);
    generated = { address: URL.createObjectURL(image), seed, count, failure: null };
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    generated = { address: null, seed: null, count, failure: error.message };
  }
  update({ generated });
  if (before) URL.revokeObjectURL(before);
}

export async function predictExample() {
  const response = await fetch("docs/seven.png");
  await predictImage(await response.blob());
}

// ------------------------------------------------------------------------------------------------------------ versions

/** @param {string} version */
export const promote = (version) =>
  act(
    `Version ${version} is the default.`,
    "POST",
    `${modelPath()}/rollout/promote`,
    /** @satisfies {Promotion} */ ({ version: Number(version) }),
  );

/** @param {string} version that becomes the default again */
export const rollBack = (version) =>
  act(`Version ${version} is the default again.`, "POST", `${modelPath()}/rollout/rollback`);

/** @param {string} version @param {number} share of the requests, up to 1 */
export const setCanary = (version, share) =>
  act(
    `Version ${version} answers ${percent(share)} of the requests.`,
    "PUT",
    `${modelPath()}/rollout/canary`,
    /** @satisfies {CanaryChoice} */ ({ version: Number(version), share }),
  );

export const endCanary = () => act("The canary has ended.", "DELETE", `${modelPath()}/rollout/canary`);

/** @param {string} version */
export const setShadow = (version) =>
  act(
    `Version ${version} is compared with the default.`,
    "PUT",
    `${modelPath()}/rollout/shadow`,
    /** @satisfies {ShadowChoice} */ ({ version: Number(version) }),
  );

export const endShadow = () => act("The comparison has ended.", "DELETE", `${modelPath()}/rollout/shadow`);

export const endDomains = () =>
  act("The default version answers all rows.", "DELETE", `${modelPath()}/rollout/domains`);

// ---------------------------------------------------------------------------------------------------------- repository

const repositoryPath = () => `v2/repository/models/${encodeURIComponent(current().model ?? "")}`;

export const loadModel = () =>
  act(`${current().model} is up to date with the repository.`, "POST", `${repositoryPath()}/load`);

export async function unloadModel() {
  const { model } = current();
  if (!(await confirmed(`Unload ${model}? Requests to it are refused until it is loaded again.`))) return;
  await act(`${model} is unloaded.`, "POST", `${repositoryPath()}/unload`);
}

/** @param {string} version */
export const loadVersion = (version) =>
  act(`Version ${version} is loaded.`, "POST", `${repositoryPath()}/versions/${version}/load`);

/** @param {string} version */
export const unloadVersion = (version) =>
  act(`Version ${version} is unloaded.`, "POST", `${repositoryPath()}/versions/${version}/unload`);

// ------------------------------------------------------------------------------------------------------ re-calibration

/** Start a re-calibration from the version that is shown. @param {RecalibrationRequest} request */
export const startRecalibration = (request) =>
  act("The re-calibration has started.", "POST", `${shownPath(current())}/recalibrations`, request);

/** Collect a reference for the version that is shown. @param {ReferenceRequest} request */
export const startReference = (request) =>
  act("Rows for the reference are being collected.", "POST", `${shownPath(current())}/reference`, request);

/** @param {Job} job */
export const cancelJob = ({ id, kind }) =>
  act(
    "The job is cancelled.",
    "DELETE",
    `${modelPath()}/${kind === "reference" ? "reference" : "recalibrations"}/${encodeURIComponent(id)}`,
  );

// --------------------------------------------------------------------------------------------------------------- token

/** Ask for a token, and keep it for everything that needs one. */
export async function signIn() {
  const given = await askForToken("The admin token permits changes; an API key, predictions.");
  if (given !== null) api.setToken(given);
}

export const signOut = () => api.setToken(null);
