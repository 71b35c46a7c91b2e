/** Responses of the service, and the state of the page. `scripts/check-page` writes `build/page/api.d.ts` first. */

import type { Events, RequestBodies, Responses, Schemas } from "../../build/page/api";

type OfVersion<Path extends string> = Responses[`GET /v2/models/{model}/versions/{version}${Path}` & keyof Responses];

export type ServerMetadata = Responses["GET /v2"];
/** The answer to a change that some replicas have not applied yet. */
export type Pending = Schemas["Pending"];
export type Permissions = Responses["GET /v2/access"];
export type ReplicaList = Responses["GET /v2/replicas"];
export type Overview = Responses["GET /v2/overview"];
export type ModelSummary = Overview["models"][number];
export type LoadedVersion = ModelSummary["loaded"][number];
export type ModelCard = OfVersion<"/card">;
export type ModelMetadata = OfVersion<"">;
export type Tensor = ModelMetadata["inputs"][number];
export type LayerList = OfVersion<"/layers">;
export type Layer = LayerList["layers"][number];
export type TopologyNode = LayerList["topology"][number];
export type ChannelHistory = OfVersion<"/layers/{layer}/history">;
export type StoredLayer = OfVersion<"/layers/{layer}">;
export type TrainedLayer = OfVersion<"/layers/{layer}/training">;
export type LiveModel = OfVersion<"/live">;
export type LiveLayer = OfVersion<"/layers/{layer}/live">;
export type Channels = NonNullable<LiveLayer["channels"]>;
export type ObservedLayer = LiveLayer & { channels: Channels };
export type Drift = OfVersion<"/drift">;
export type LayerDrift = Drift["layers"][number];
export type Classes = NonNullable<Drift["classes"]>;
export type EstimatedAccuracy = NonNullable<Drift["estimated_accuracy"]>;
export type Verdict = Drift["verdict"];
export type History = OfVersion<"/drift/history">;
export type Point = History["points"][number];
export type Alarm = History["alarms"][number];
export type Rollout = Responses["GET /v2/models/{model}/rollout"];
export type VersionState = Rollout["versions"][number];
export type Lineage = ModelCard["lineage"];
export type Job = Responses["GET /v2/models/{model}/recalibrations/{job}"];
export type JobList = Responses["GET /v2/models/{model}/recalibrations"];
export type ReferenceList = Responses["GET /v2/models/{model}/reference"];
export type Gate = Job["gates"][number];
export type Promotion = RequestBodies["POST /v2/models/{model}/rollout/promote"];
export type CanaryChoice = RequestBodies["PUT /v2/models/{model}/rollout/canary"];
export type ShadowChoice = RequestBodies["PUT /v2/models/{model}/rollout/shadow"];
export type RecalibrationRequest = RequestBodies["POST /v2/models/{model}/versions/{version}/recalibrations"];
export type GenerationRequest = RequestBodies["POST /v2/models/{model}/versions/{version}/generate"];
export type ReferenceRequest = RequestBodies["POST /v2/models/{model}/versions/{version}/reference"];
export type Prediction = Extract<Responses["POST /v2/models/{model}/versions/{version}/predict"], { label: string }>;
/** The answer to rows of a model of tensors. */
export interface InferredOutputs {
  outputs: Array<{ name: string; datatype: string; shape: number[]; data: Array<number | string | boolean> }>;
}
export type StatisticsList = Responses["GET /v2/models/stats"];
export type TrafficEvent = Events["statistics"];

export type Window = LiveLayer["window"];
export type Range = "15m" | "1h" | "6h" | "1d" | "7d" | "30d";
export type HistoryWindow = History["window"];

/** From `first` to `last`, in milliseconds since 1970. */
export interface Period {
  first: number;
  last: number;
}

/** A version whose history is drawn over that of the version that is shown. */
export interface Compared {
  model: string;
  version: string;
}

export type ComparedHistory = Compared & { points: Point[] };
export type Measure = "drift" | "mean" | "spread";

/** Parts of the page that are kept up to date only while they can be seen: the first class of each `<section>`. */
export type Section =
  | "overview"
  | "trial"
  | "verdict"
  | "traffic"
  | "network"
  | "history"
  | "recalibration"
  | "versions";

/** A view of a model, with an address of its own. */
export type Tab = "now" | "layers" | "history" | "versions" | "try";

/** What the overview can be sorted by. */
export type Column = "state" | "name" | "requests" | "p99" | "errors" | "version" | "accuracy" | "drift";

/** Elements whose contents are drawn to their width. */
export type Host = "heatmap" | "channel" | "history";

/** The traffic of one version between two readings. Latencies are null if there were no requests. */
export interface Sample {
  at: number;
  requests: number;
  rows: number;
  requestsPerSecond: number;
  rowsPerSecond: number;
  p50Ms: number | null;
  p99Ms: number | null;
}

/** An image or a text that was sent for prediction. */
export interface Trial {
  /** Of the image, or the text itself. */
  sent: string;
  prediction: Prediction | null;
  /** Of a model of tensors. */
  outputs: InferredOutputs | null;
  failure: string | null;
}

/** Images that a generator has made. */
export interface Generated {
  /** Of the image; null where the request has failed. */
  address: string | null;
  seed: string | null;
  count: number;
  failure: string | null;
}

/** The order of the overview. */
export interface Sort {
  by: Column;
  isDescending: boolean;
}

/** Digits that are sent as traffic. */
export interface Demonstration {
  /** From 0 to 1. */
  noise: number;
  /** How many were sent; null before the first. */
  sent: number | null;
}

/** The outcome of the last action. */
export interface Notice {
  text: string;
  isFailure: boolean;
}

/** What is selected; the address holds the same. `version` is null for the default one. */
export interface Selection {
  model: string | null;
  tab: Tab;
  version: string | null;
  layer: string | null;
  channel: number | null;
}

/** What is known of the selected version, or of its model; null or empty before the service has responded. */
export interface VersionKnowledge {
  card: ModelCard | null;
  metadata: ModelMetadata | null;
  /** From the input to the output. */
  layers: Layer[];
  /** Empty where it was not recorded. */
  topology: TopologyNode[];
  /** The last full window of rows: the state now. */
  judged: Drift | null;
  judgedFailure: string | null;
  /** The window of time that is looked at. */
  drift: Drift | null;
  history: Point[] | null;
  /** Those that were open in the time that the history was asked for, oldest first. */
  alarms: Alarm[];
  compared: Compared[];
  comparedHistories: ComparedHistory[] | null;
  channels: LiveLayer | null;
  channelHistory: ChannelHistory | null;
  storedLayer: StoredLayer | null;
  trainedLayer: TrainedLayer | null;
  live: LiveModel | null;
  rollout: Rollout | null;
  jobs: Job[];
  references: Job[];
  trial: Trial | null;
  generated: Generated | null;
}

export interface State extends Selection, VersionKnowledge {
  window: Window;
  /** How much time the history shows, until now. */
  range: Range;
  /** What it shows instead; null for the range. */
  period: Period | null;
  /** Part of the history that is being chosen with the pointer. */
  marked: Period | null;
  /** End of the part of the history that is read out, in milliseconds; null for the latest. */
  moment: number | null;
  measure: Measure;
  showsAllClasses: boolean;
  service: ServerMetadata | null;
  /** What the page may do; null before the first response. */
  access: Permissions | null;
  /** Null before the first response. */
  replicas: ReplicaList | null;
  /** Every model; null before the first response. */
  overview: Overview | null;
  /** Processor cores that the service has kept busy between two responses; null before the second. */
  busyCores: number | null;
  sort: Sort;
  /** Part of the names of the models that the overview lists. */
  search: string;
  /** By `<model>/<version>`, oldest first. */
  traffic: Record<string, Sample[]>;
  /** Whether the service responds; null before the first response. */
  isConnected: boolean | null;
  /** Whether events arrive; null before the first attempt. */
  isStreaming: boolean | null;
  visible: ReadonlySet<string>;
  widths: Record<Host, number>;
  demonstration: Demonstration;
  /** Pixels of the digits that can be sent; null before they are needed. */
  digits: number[][] | null;
  /** Labels of the tables that are unfolded. */
  unfolded: string[];
  /** Pixels that long tables are scrolled, by their labels. */
  scrolled: Record<string, number>;
  /** Names of the blocks of layers that are open besides that of the selected layer. */
  openBlocks: string[];
  /** Whether the overview lists all models, however many there are. */
  showsAllModels: boolean;
  notice: Notice | null;
}

/** The state of a page that shows a loaded version. */
export type Shown = State & { model: string; card: ModelCard; metadata: ModelMetadata };

/** A request that the poller repeats, and what its responses change. */
export interface Query<Body> {
  name: string;
  /** Sections that show the response; left out where it is always needed. */
  sections?: Section[];
  /** Path of the request; null while there is nothing to request. */
  path(state: State): string | null;
  /** Milliseconds between two requests. */
  interval(state: State): number;
  /** Sends the request; by default with GET. */
  send?(path: string): Promise<Body>;
  /** What a response changes. */
  receive(body: Body, state: State): Partial<State>;
  /** Names of queries that a response shows to be out of date. `state` is the one before it. */
  invalidates?(body: Body, state: State): string[];
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
