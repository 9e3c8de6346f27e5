/** Consumer groups through Kafka's own clients (src/testing/java/GroupClient.java). One JVM start for a list of steps. */
import { must } from '#util/assert.ts';
import { askJava } from './java-request.ts';

/** By topic, by partition. */
export type Places = Readonly<Record<string, Readonly<Record<number, number>>>>;

/** By `topic/partition`: offset, leader epoch (−1: none), metadata. */
export type CommittedPlaces = Readonly<
  Record<string, readonly [offset: number, leaderEpoch: number, metadata: string]>
>;

/** By `topic/partition`: where the group stood, the first record's offset (−1: none), how many, and their SHA-256. */
export type Continued = Readonly<
  Record<string, readonly [position: number, first: number, records: number, digest: string]>
>;

export type GroupStep =
  /** Sets offsets as an administrator, by group. */
  | { readonly commit: Readonly<Record<string, Places>>; readonly metadata?: string }
  /** Answers with CommittedPlaces by group. */
  | { readonly offsets: readonly string[] }
  /** Answers with the starts by `topic/partition`, by group; none for a group that does not exist. */
  | { readonly shareOffsets: readonly string[] }
  | { readonly setShareOffsets: Readonly<Record<string, Places>> }
  | { readonly delete: readonly string[] }
  /** Reads from where the group stands to the end and answers with Continued; or commits and leaves. */
  | { readonly consume: ConsumeStep }
  /** Answers with what MirrorMaker 2's client makes of the checkpoints here. */
  | { readonly translate: { readonly source: string; readonly group: string } }
  /** A share group that has begun at the start of the topics. */
  | { readonly share: { readonly group: string; readonly topics: readonly string[] } };

export interface ConsumeStep {
  readonly group: string;
  readonly topics: readonly string[];
  /** Default: classic. */
  readonly protocol?: 'classic' | 'consumer';
  /** Default: read_committed. */
  readonly isolation?: 'read_committed' | 'read_uncommitted';
  /** Offsets do not go into the digest. */
  readonly mapped?: boolean;
  readonly commit?: Places;
}

/** Runs the steps in order and returns their answers; those that only do something answer {}. */
export async function runGroups(bootstrap: readonly string[], steps: readonly GroupStep[]): Promise<unknown[]> {
  const lines = await askJava('GroupClient', { bootstrap: bootstrap.join(','), steps });
  return steps.map((_, i) => JSON.parse(must(lines[i], 'answer of GroupClient')) as unknown);
}

/** What groups have committed. */
export async function committedBy(
  bootstrap: readonly string[],
  groups: readonly string[],
): Promise<Readonly<Record<string, CommittedPlaces>>> {
  const [answer] = await runGroups(bootstrap, [{ offsets: groups }]);
  return answer as Readonly<Record<string, CommittedPlaces>>;
}
