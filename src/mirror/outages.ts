/**
 * What many partitions wait out together: a cluster that does not answer, a leader that is missing, replicas that are out of
 * sync. It ends by itself and stops nothing, so partitions only warn; when it lasts, it is one incident for each cluster.
 */
import type { Clock } from '#util/clock.ts';
import type { Incident, RunEvent } from '#contract/status.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError, ConnectionError, type KafkaError } from '#kafka/errors.ts';
import type { Waiting } from './shard.ts';

/** A leader election or the restart of a broker is over by then. */
const OUTAGE_MS = 30_000;
/**
 * What a partition was told before may be over: a broker that goes fences its leader, and the one that comes may refuse us.
 * Whoever asks again since then has an answer before the double of the time (kafka/retry.ts).
 */
const RECENT_MS = 10_000;
/** Requests that only one side is asked. */
const OF_SOURCE = new Set(['Fetch', 'OffsetForLeaderEpoch']);

/** A partition as this room of the mirror sees it. */
interface WaitingShard {
  readonly topic: string;
  readonly partition: number;
  readonly position: number | null;
  readonly waiting: Waiting | null;
}

interface Outage {
  readonly incident: Incident;
  /** Of the partitions that wait for the cluster, since when: one that waits on for the other cluster may come back to this. */
  readonly waiters: Map<string, number>;
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
  readonly #open = new Map<Cluster, Outage>();

  constructor(options: OutagesOptions) {
    this.#options = options;
  }

  /** Opens and ends incidents by what the partitions wait for now. */
  check(shards: readonly WaitingShard[]): void {
    const { source, target, clock } = this.#options;
    for (const cluster of [source, target]) {
      const waiting = shards.filter((shard) => shard.waiting && this.#clusterOf(shard.waiting.error) === cluster);
      const open = this.#open.get(cluster) ?? this.#begin(cluster, waiting);
      if (!open) continue;
      for (const shard of waiting) if (shard.waiting) open.waiters.set(placeOf(shard), shard.waiting.sinceMs);
      if (shards.some((shard) => shard.waiting && open.waiters.get(placeOf(shard)) === shard.waiting.sinceMs)) continue;
      this.#open.delete(cluster);
      this.#options.onEvent({ event: 'incident-ended', incident: open.incident, at: clock.now() });
    }
  }

  #begin(cluster: Cluster, waiting: readonly WaitingShard[]): Outage | null {
    if (!waiting.some((shard) => this.#lasts(shard.waiting))) return null;
    const outage: Outage = { incident: this.#incidentOf(cluster, waiting), waiters: new Map() };
    this.#open.set(cluster, outage);
    this.#options.onEvent({ event: 'incident', incident: outage.incident });
    return outage;
  }

  #lasts(waiting: Waiting | null): boolean {
    if (waiting === null) return false;
    const nowMs = this.#options.clock.monotonic();
    const lastedMs = nowMs - waiting.sinceMs;
    return lastedMs >= OUTAGE_MS && (nowMs - waiting.toldMs < RECENT_MS || lastedMs >= 2 * OUTAGE_MS);
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

  #incidentOf(cluster: Cluster, waiting: readonly WaitingShard[]): Incident {
    const { mirror, clock } = this.#options;
    const first = waiting.find((shard) => this.#lasts(shard.waiting));
    const error = first?.waiting?.error;
    const { code, message, nextStep } = toAppError(error, `cluster "${cluster.name}"`);
    const isOne = waiting.length === 1 && first !== undefined;
    const position = first?.position ?? null;
    return {
      code: code === 'CLUSTER_REFUSED' ? 'SHARD_WAITING' : code,
      severity: 'warning',
      mirror,
      topic: isOne ? first.topic : null,
      partition: isOne ? first.partition : null,
      offsets: isOne && position !== null ? { from: position, to: position } : null,
      cause: `${waiting.length} partition${isOne ? ' has' : 's have'} waited for ${OUTAGE_MS / 1000} s: ${message}.`,
      consequence: `${isOne ? 'It goes on by itself' : 'They go on by themselves'}; nothing is lost as long as the source keeps its records.`,
      nextStep: nextStep ?? '',
      endsByItself: true,
      at: clock.now(),
    };
  }
}

function placeOf({ topic, partition }: WaitingShard): string {
  return `${topic}/${partition}`;
}
