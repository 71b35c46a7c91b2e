/** What the service answers and what the page makes of it. `scripts/check-page` writes `build/page/api.d.ts` first. */

import type { Answers, Bodies, Events } from "../../build/page/api";

type OfVersion<Path extends string> = Answers[`GET /v2/models/{model}/versions/{version}${Path}` & keyof Answers];

export type ServerMetadata = Answers["GET /v2"];
export type IndexedVersion = Answers["POST /v2/repository/index"][number];
export type LoadedVersion = Answers["GET /v2/drift"]["versions"][number];
export type ModelCard = OfVersion<"/card">;
export type ModelMetadata = OfVersion<"">;
export type Tensor = ModelMetadata["inputs"][number];
export type Layer = OfVersion<"/layers">["layers"][number];
export type StoredLayer = OfVersion<"/layers/{layer}">;
export type LiveModel = OfVersion<"/live">;
export type LiveLayer = OfVersion<"/layers/{layer}/live">;
export type Channels = NonNullable<LiveLayer["channels"]>;
export type ObservedLayer = LiveLayer & { channels: Channels };
export type Drift = OfVersion<"/drift">;
export type LayerDrift = Drift["layers"][number];
export type Classes = NonNullable<Drift["classes"]>;
export type Verdict = Drift["verdict"];
export type History = OfVersion<"/drift/history">;
export type Point = History["points"][number];
export type Rollout = Answers["GET /v2/models/{model}/rollout"];
export type VersionState = Rollout["versions"][number];
export type Lineage = ModelCard["lineage"];
export type Job = Answers["GET /v2/models/{model}/recalibrations/{job}"];
export type JobList = Answers["GET /v2/models/{model}/recalibrations"];
export type Gate = Job["gates"][number];
export type Promotion = Bodies["POST /v2/models/{model}/rollout/promote"];
export type CanaryChoice = Bodies["PUT /v2/models/{model}/rollout/canary"];
export type ShadowChoice = Bodies["PUT /v2/models/{model}/rollout/shadow"];
export type RecalibrationRequest = Bodies["POST /v2/models/{model}/versions/{version}/recalibrations"];
export type Prediction = Answers["POST /v2/models/{model}/versions/{version}/predict"];
export type StatisticsList = Answers["GET /v2/models/stats"];
export type TrafficEvent = Events["statistics"];

export type Window = LiveLayer["window"];
export type Measure = "drift" | "mean" | "spread";

/** Parts of the page that are asked for only while they can be seen: the first class of each `<section>`. */
export type Section = "verdict" | "traffic" | "network" | "history" | "predicted" | "recalibration" | "versions";

/** Elements whose contents are drawn to their width. */
export type Host = "strip" | "heatmap" | "channel" | "history";

/** The traffic of one version between two readings. Latencies are null where no request was answered. */
export interface Sample {
  at: number;
  requests: number;
  rows: number;
  requestsPerSecond: number;
  rowsPerSecond: number;
  p50Ms: number | null;
  p99Ms: number | null;
}

/** An image that was sent. */
export interface Trial {
  address: string;
  prediction: Prediction | null;
  failure: string | null;
}

/** How the last action went. */
export interface Notice {
  text: string;
  isFailure: boolean;
}

/** What is selected; the address holds the same. `version` is null for the default one. */
export interface Selection {
  model: string | null;
  version: string | null;
  layer: string | null;
  channel: number | null;
}

/** What is known of the selected version, or of its model; null or empty before the service has answered. */
export interface VersionKnowledge {
  card: ModelCard | null;
  metadata: ModelMetadata | null;
  layers: Layer[];
  drift: Drift | null;
  driftFailure: string | null;
  history: Point[] | null;
  channels: LiveLayer | null;
  storedLayer: StoredLayer | null;
  live: LiveModel | null;
  rollout: Rollout | null;
  jobs: Job[];
  trial: Trial | null;
}

export interface State extends Selection, VersionKnowledge {
  window: Window;
  measure: Measure;
  showsAllClasses: boolean;
  service: ServerMetadata | null;
  /** Every version in the repository; null before the service has answered. */
  index: IndexedVersion[] | null;
  /** Every loaded version of every model, with its verdict. */
  loaded: LoadedVersion[];
  /** By `<model>/<version>`, oldest first. */
  traffic: Record<string, Sample[]>;
  /** Whether the service responds; null before the first response. */
  isConnected: boolean | null;
  /** Whether events arrive; null before the first attempt. */
  isStreaming: boolean | null;
  visible: ReadonlySet<string>;
  widths: Record<Host, number>;
  notice: Notice | null;
}

/** The state of a page that shows a loaded version. */
export type Shown = State & { model: string; card: ModelCard; metadata: ModelMetadata };

/** Something that the poller keeps up to date. */
export interface Query<Answer> {
  name: string;
  /** Sections that show the answer; left out where it is always needed. */
  sections?: Section[];
  /** Where to ask; null while there is nothing to ask about. */
  path(state: State): string | null;
  /** Milliseconds between two requests. */
  every(state: State): number;
  request?(path: string): Promise<Answer>;
  /** What an answer changes. */
  receive(answer: Answer, state: State): Partial<State>;
  /** Names of queries whose last answers this one shows to be out of date. `state` is the one before it. */
  outdates?(answer: Answer, state: State): string[];
  /** What an error response changes. */
  fail(message: string): Partial<State>;
}

/** What `render` takes: elements made by `h`, text, and lists of both. Null and false show nothing. */
export type Content = VirtualElement | string | number | null | undefined | false | Content[];

export interface VirtualElement {
  tag: string;
  properties: Properties;
  children: Array<VirtualElement | string | number>;
}

export interface Properties {
  key?: string | number;
  style?: Record<string, string>;
  // biome-ignore lint/suspicious/noExplicitAny: each handler says which event of which element it takes
  [handler: `on${string}`]: ((event: any) => void) | undefined;
  [attribute: string]: unknown;
}

/** An event of an element that has the listener. */
export type On<Target extends EventTarget, Kind extends Event = Event> = Kind & { currentTarget: Target };
