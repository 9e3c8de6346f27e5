/** Three processes of one mirror share its shards through the coordinator of a real broker; here they are in one process. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Cluster } from '#kafka/cluster.ts';
import { GroupMember } from '#kafka/group-member.ts';
import { startCluster, type KafkaCluster } from '#testing/kafka-cluster.ts';
import { kafkaVersions } from '#testing/kafka-home.ts';
import { openCluster } from '#testing/open-cluster.ts';
import type { Clock } from '#util/clock.ts';
import { systemClock } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { groupIdOf, Ownership, PROTOCOL_NAME, PROTOCOL_TYPE, type Term } from './ownership.ts';
import { shardName, type ShardName } from './shard-ranges.ts';

/** The shortest session that brokers allow by default; the rest in proportion. */
const SESSION_MS = 6_000;
const TIMES = { marginMs: 3_000, writeTimeoutMs: 3_000, heartbeatMs: 500 };
const SHARDS = Array.from({ length: 6 }, (_, partition) => shardName('AAAAAAAAAAAAAAAAAAAAAQ', partition));
const WITHIN = { timeout: 30_000, interval: 20 };

/** The system's time; while it is paused no timer fires, as in a process that was stopped. */
class PausableClock implements Clock {
  #held: (() => void)[] | null = null;

  now(): number {
    return systemClock.now();
  }

  monotonic(): number {
    return systemClock.monotonic();
  }

  schedule(delayMs: number, callback: () => void): () => void {
    let isCancelled = false;
    const event = (): void => void (isCancelled || callback());
    const cancel = systemClock.schedule(delayMs, () => (this.#held ? void this.#held.push(event) : event()));
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  pause(): void {
    this.#held = [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const event of held) event();
  }
}

class Process {
  readonly clock = new PausableClock();
  readonly terms: Term[] = [];
  readonly troubles: (string | null)[] = [];
  readonly ownership: Ownership;
  readonly ran: Promise<void>;

  constructor(cluster: Cluster, name: string, content = 'same') {
    const member = new GroupMember(cluster, {
      groupId: groupIdOf('mirror'),
      protocolType: PROTOCOL_TYPE,
      protocolName: PROTOCOL_NAME,
      sessionTimeoutMs: SESSION_MS,
    });
    this.ownership = new Ownership({
      member,
      clock: this.clock,
      random: createRandom(1),
      name,
      content,
      levels: () => new Map(),
      shards: () => new Set(SHARDS),
      times: TIMES,
      onTerm: (term) => {
        this.terms.push(term);
        term.lost.addEventListener('abort', () => term.release({ isSettled: true }));
      },
      onTrouble: (trouble) => this.troubles.push(trouble?.code ?? null),
    });
    this.ran = this.ownership.run();
  }

  get mine(): ShardName[] {
    return SHARDS.filter((shard) => this.ownership.mayWrite(shard));
  }
}

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  let kafka: KafkaCluster;
  let cluster: Cluster;
  const processes: Process[] = [];
  const both: string[] = [];
  let endWatch: () => void = () => {};

  const start = (name: string, content?: string): Process => {
    const process = new Process(cluster, name, content);
    processes.push(process);
    return process;
  };
  /** At every turn of the event loop that comes near: who may write to what. */
  const watch = (): void => {
    for (const shard of SHARDS) {
      const writers = processes.filter(({ ownership }) => ownership.mayWrite(shard)).length;
      if (writers > 1) both.push(shard);
    }
    endWatch = systemClock.schedule(5, watch);
  };
  const counts = (): number[] => processes.map(({ mine }) => mine.length);
  const share = (wanted: readonly number[]): Promise<void> =>
    vi.waitFor(() => expect(counts()).toEqual(wanted), WITHIN);

  beforeAll(async () => {
    kafka = await startCluster({ version, name: 'ownership' });
    cluster = openCluster(kafka.bootstrap);
    await cluster.connect();
    watch();
  });

  afterAll(async () => {
    endWatch();
    for (const { ownership } of processes) ownership.close();
    cluster?.close();
    await kafka?.stop();
  });

  test('three share what one had, hand over without waiting, and outlive a pause of one', async () => {
    const figures: Record<string, number> = {};
    let begunMs = systemClock.monotonic();
    const took = (what: string): void => {
      figures[what] = Math.round(systemClock.monotonic() - begunMs);
      begunMs = systemClock.monotonic();
    };
    const a = start('a');
    await share([6]);
    took('alone');
    const [b, c] = [start('b'), start('c')];
    await share([2, 2, 2]);
    took('three share');

    const { generation } = c.ownership;
    a.ownership.stop();
    const before = [b.terms.length, c.terms.length];
    await share([0, 3, 3]);
    took('left');
    await a.ran;
    const handedOver = [...b.terms.slice(before[0]), ...c.terms.slice(before[1])];
    expect(handedOver.map(({ takeover }) => takeover)).toEqual(['handed-over', 'handed-over']);
    // One generation to hand over, one without it: whoever stops in between would be waited for, and all would stop to write.
    await vi.waitFor(
      () => expect([b.ownership.generation, c.ownership.generation]).toEqual([generation + 2, generation + 2]),
      WITHIN,
    );

    begunMs = systemClock.monotonic();
    b.clock.pause();
    await vi.waitFor(() => expect(b.mine).toEqual([]), WITHIN);
    took('paused one stopped to write');
    expect(c.mine).toHaveLength(3);
    await share([0, 0, 6]);
    took('then evicted');
    expect(c.terms.slice(-3).map(({ takeover }) => takeover)).toEqual(['evicted', 'evicted', 'evicted']);

    b.clock.resume();
    expect(b.mine).toEqual([]);
    begunMs = systemClock.monotonic();
    await share([0, 3, 3]);
    took('came back');
    console.log(`ownership on ${version}, ms: ${JSON.stringify(figures)}`);
    expect(both).toEqual([]);
    expect(processes.flatMap(({ troubles }) => troubles)).toEqual([]);
  });

  test('one with another file is refused by name', async () => {
    const d = start('d', 'other');
    await vi.waitFor(() => expect(d.troubles).toEqual(['MIRROR_PEERS_DIFFER']), WITHIN);
    await share([0, 3, 3, 0]);
    expect(both).toEqual([]);
  });
});
