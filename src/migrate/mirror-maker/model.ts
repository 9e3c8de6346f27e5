/** What the files of MirrorMaker 2 and of Strimzi say, in the same words: clusters, and pairs with their connectors. */
import type { SecurityText } from '../security-text.ts';
import type { Report, Setting } from '../report.ts';

/** A pair runs up to three connectors; in MirrorMaker's own file they share their settings. */
export type Connector = 'source' | 'checkpoint' | 'heartbeat';

export interface MirrorMakerCluster {
  /** As MirrorMaker calls it: the first part of the names of its topics elsewhere. */
  readonly alias: string;
  /** Of the Cluster that comes of it. */
  readonly name: string;
  /** What holds for its clients, by the name of Kafka's client. */
  readonly get: (key: string) => Setting | undefined;
  /** Where its login is not said in Kafka's own words. */
  readonly security?: () => SecurityText;
}

export interface MirrorMakerPair {
  readonly source: MirrorMakerCluster;
  readonly target: MirrorMakerCluster;
  /** What a connector is given, by its name there; undefined where nothing is set, or the connector is not run. */
  readonly get: (connector: Connector, key: string) => Setting | undefined;
}

/** Everything that the Mirror of one pair is built from. */
export interface PairContext {
  readonly pair: MirrorMakerPair;
  /** Of the Mirror. */
  readonly name: string;
  readonly report: Report;
}
