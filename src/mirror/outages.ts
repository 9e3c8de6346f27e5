/**
 * What many partitions wait out together: a cluster that does not answer, a leader that is missing, replicas that are out of
 * sync. It ends by itself and stops nothing, so partitions only warn; when it lasts, it is one incident for each cluster.
 */
import type { Clock } from '#util/clock.ts';
import type { Incident, RunEvent } from '#contract/status.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError, ConnectionError, type KafkaError } from '#kafka/errors.ts';
import { must } from '#util/assert.ts';
import type { Waiting } from './shard-trouble.ts';

/** A leader election or the restart of a broker is over by then. */
const OUTAGE_MS = 30_000;
/**
 * What a partition was told before may be over: a broker that goes fences its leader, and the one that comes may refuse us.
 * Whoever asks again since then has an answer before the double of the time (kafka/retry.ts).
 */
const RECENT_MS = 10_000;
/** A cluster that nobody was told of for so long, while another is waited for, is there again. */
const FORGOTTEN_MS = 60_000;
/** Requests that only one side is asked. */
const OF_SOURCE = new Set(['Fetch', 'OffsetForLeaderEpoch']);

/** A partition as this room of the mirror sees it. */
interface WaitingShard {
  readonly topic: string;
  readonly partition: number;
  readonly position: number | null;
  readonly waiting: Waiting | null;
}

/** What a partition was told of one cluster since it made progress last. Monotonic times. */
interface Trouble {
  readonly shard: WaitingShard;
  /** When the wait began that it belongs to. */
  readonly waitMs: number;
  readonly sinceMs: number;
  readonly toldMs: number;
  readonly error: KafkaError;
}

export interface OutagesOptions {
  readonly mirror: string;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly clock: Clock;
  onEvent(event: RunEvent): void;
}

export class Outages {
  readonly #options: OutagesOptions;
  /** By cluster and partition: one that waits for both is told now of the one and now of the other. */
  readonly #troubles: ReadonlyMap<Cluster, Map<string, Trouble>>;
  readonly #open = new Map<Cluster, Incident>();

  constructor(options: OutagesOptions) {
    this.#options = options;
    this.#troubles = new Map([options.source, options.target].map((cluster) => [cluster, new Map()]));
  }

  /** Opens and ends incidents by what the partitions wait for now. */
  check(shards: readonly WaitingShard[]): void {
    for (const shard of shards) this.#note(shard);
    for (const [cluster, troubles] of this.#troubles) {
      const open = this.#open.get(cluster);
      if (open && troubles.size === 0) {
        this.#open.delete(cluster);
        this.#options.onEvent({ event: 'incident-ended', incident: open, at: this.#options.clock.now() });
      }
      const lasting = open ? [] : [...troubles.values()].filter((trouble) => this.#lasts(trouble));
      const telling = lasting.find(({ error }) => error.definite) ?? lasting[0]; // a refusal says more than silence
      if (!telling) continue;
      const incident = this.#incidentOf(cluster, telling, troubles.size);
      this.#open.set(cluster, incident);
      this.#options.onEvent({ event: 'incident', incident });
    }
  }

  #note(shard: WaitingShard): void {
    const place = `${shard.topic}/${shard.partition}`;
    const { waiting } = shard;
    for (const troubles of this.#troubles.values()) {
      const known = troubles.get(place);
      if (known && this.#isOver(known, waiting)) troubles.delete(place);
    }
    if (!waiting) return;
    const told = new Map<Cluster, Pick<Waiting, 'error' | 'toldMs'>>([[this.#clusterOf(waiting.error), waiting]]);
    for (const cluster of this.#troubles.keys()) {
      const { unreachable } = cluster; // partitions that wait for it do not ask by themselves
      if (unreachable) told.set(cluster, unreachable);
    }
    const isFirst = [...this.#troubles.values()].every((each) => !each.has(place));
    for (const [cluster, { error, toldMs }] of told) {
      const troubles = must(this.#troubles.get(cluster), 'troubles of a cluster');
      const sinceMs = troubles.get(place)?.sinceMs ?? (isFirst ? waiting.sinceMs : toldMs);
      troubles.set(place, { shard, waitMs: waiting.sinceMs, sinceMs, toldMs, error });
    }
  }

  /** The partition went on, or has been told of the other cluster alone for long. */
  #isOver({ waitMs, toldMs }: Trouble, waiting: Waiting | null): boolean {
    if (waiting?.sinceMs !== waitMs) return true;
    return waiting.toldMs !== toldMs && this.#options.clock.monotonic() - toldMs >= FORGOTTEN_MS;
  }

  #lasts({ sinceMs, toldMs }: Trouble): boolean {
    const nowMs = this.#options.clock.monotonic();
    const lastedMs = nowMs - sinceMs;
    return lastedMs >= OUTAGE_MS && (nowMs - toldMs < RECENT_MS || lastedMs >= 2 * OUTAGE_MS);
  }

  /** What does not tell is taken for the target's, which every partition asks more. */
  #clusterOf(error: KafkaError): Cluster {
    const { source, target } = this.#options;
    if (error.cluster !== null) return error.cluster === source.name ? source : target;
    if (error instanceof ConnectionError)
      return error.address.split(', ').some((each) => source.has(each)) ? source : target;
    const isOfSource =
      error instanceof BrokerError && (OF_SOURCE.has(error.api) || error.message.includes('source topic'));
    return isOfSource ? source : target;
  }

  #incidentOf(cluster: Cluster, { shard, sinceMs, error }: Trouble, count: number): Incident {
    const { mirror, clock } = this.#options;
    const { code, message, nextStep } = toAppError(error, `cluster "${cluster.name}"`);
    const isOne = count === 1;
    const { topic, partition, position } = shard;
    const seconds = Math.floor((clock.monotonic() - sinceMs) / 1000);
    return {
      code: code === 'CLUSTER_REFUSED' ? 'SHARD_WAITING' : code,
      severity: 'warning',
      mirror,
      topic: isOne ? topic : null,
      partition: isOne ? partition : null,
      offsets: isOne && position !== null ? { from: position, to: position } : null,
      cause: `${count} partition${isOne ? ' has' : 's have'} waited for ${seconds} s: ${message}.`,
      consequence: `${isOne ? 'It goes on by itself' : 'They go on by themselves'}; nothing is lost as long as the source keeps its records.`,
      nextStep: nextStep ?? '',
      endsByItself: true,
      at: clock.now(),
    };
  }
}
