/** Where the logs of some topics begin and end, read often and cheaply: one request for all partitions. */
import { EARLIEST, LATEST, listOffsets } from '#kafka/offsets.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { must } from '#util/assert.ts';

export interface LogBounds {
  readonly start: number;
  readonly end: number;
}

/** By `topic/partition`. Topics that are not there (yet) are left out. */
export type Bounds = ReadonlyMap<string, LogBounds>;

export class LogEnds {
  readonly #cluster: Cluster;
  readonly #topics: readonly string[];

  private constructor(cluster: Cluster, topics: readonly string[]) {
    this.#cluster = cluster;
    this.#topics = topics;
  }

  static async open(bootstrap: readonly string[], topics: readonly string[]): Promise<LogEnds> {
    const cluster = openCluster(bootstrap);
    await cluster.connect();
    return new LogEnds(cluster, topics);
  }

  close(): void {
    this.#cluster.close();
  }

  /** Log start and high watermark of every partition. */
  async read(): Promise<Bounds> {
    const missing = this.#topics.filter((topic) => (this.#cluster.topicOf(topic)?.errorCode ?? 3) !== 0);
    if (missing.length > 0) await this.#cluster.refresh(missing);
    const places = this.#topics.flatMap((name) => {
      const topic = this.#cluster.topicOf(name);
      if (!topic || topic.errorCode !== 0) return [];
      return topic.partitions.map(({ partition }) => ({ topic: name, partition }));
    });
    const [starts, ends] = await Promise.all(
      [EARLIEST, LATEST].map((timestamp) =>
        listOffsets(
          this.#cluster,
          places.map((place) => ({ ...place, timestamp })),
        ),
      ),
    );
    const bounds = new Map<string, LogBounds>();
    for (const [i, { topic, partition }] of places.entries()) {
      const [start, end] = [must(starts?.[i], 'log start'), must(ends?.[i], 'log end')];
      if (!start.error && !end.error) bounds.set(`${topic}/${partition}`, { start: start.offset, end: end.offset });
    }
    return bounds;
  }
}

/** Whether any log (of these topics) has grown from one reading to a later one. */
export function hasGrown(before: Bounds, after: Bounds, topics?: readonly string[]): boolean {
  return [...after].some(([place, { end }]) => {
    const isMeant = topics === undefined || topics.some((topic) => place.startsWith(`${topic}/`));
    return isMeant && end > (before.get(place)?.end ?? 0);
  });
}
