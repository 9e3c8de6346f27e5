/**
 * Many faults at many mirrors at once: each lane is a mirror of topics of one kind, copied by processes that are killed,
 * stopped and doubled while traffic is written, and all of them are judged together.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import type { Cluster } from '#kafka/cluster.ts';
import { describeProducers } from '#kafka/producers.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import type { KafkaBroker } from '#testing/kafka-broker.ts';
import { openCluster } from '#testing/open-cluster.ts';
import type { LiveTraffic } from '#testing/workload.ts';
import { spawnLiveTraffic, writeWorkloads } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { createRandom, type Random } from '#util/random.ts';
import type { Link } from '../acceptance/link-file.ts';
import { writeLink } from '../acceptance/link-file.ts';
import type { LockstepProcess } from '../acceptance/lockstep-process.ts';
import { runUntilCaughtUp, told } from '../acceptance/lockstep-process.ts';
import { LogEnds } from '../acceptance/log-ends.ts';
import { expectVerified } from '../acceptance/verified.ts';
import { Lane } from './campaign-lane.ts';
import type { Age, Kind } from './campaign-topics.ts';
import { topicsOf } from './campaign-topics.ts';
import { expectDenseCopies } from './dense-copy.ts';
import type { FaultRun } from './fault.ts';
import { readLeaders } from './leaders.ts';
import type { ClusterPair, Side } from './mirror-under-test.ts';

/** Copying what is left, on a machine that does other things too. */
const settledWithinMs = 120_000;

export interface CampaignOptions {
  readonly age: Age;
  readonly kinds: readonly Kind[];
  /** Of each stream. Default: 100. */
  readonly recordsPerSecond?: number;
  /** Rules that are switched off in all processes; those of a bare lane are always without ownership. */
  readonly off?: string;
  /** Default: newSeed(). */
  readonly seed?: number;
  /** Begins the names of topics and mirrors. Default: that of the fault. */
  readonly name?: string;
}

/** LOCKSTEP_SEED, else another one each time; printed. */
export function newSeed(run: FaultRun): number {
  const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
  process.stdout.write(`fault ${run.id}: seed ${seed}\n`);
  return seed;
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return must(from[Math.floor(random.next() * from.length)], 'something to draw from');
}

export class Campaign {
  readonly lanes: readonly Lane[];
  readonly random: Random;
  readonly pair: ClusterPair;
  readonly options: CampaignOptions;
  readonly #run: FaultRun;
  readonly #traffic: LiveTraffic;
  readonly #client: Cluster;

  private constructor(fields: {
    run: FaultRun;
    pair: ClusterPair;
    options: CampaignOptions;
    lanes: readonly Lane[];
    random: Random;
    traffic: LiveTraffic;
    client: Cluster;
  }) {
    this.#run = fields.run;
    this.pair = fields.pair;
    this.options = fields.options;
    this.lanes = fields.lanes;
    this.random = fields.random;
    this.#traffic = fields.traffic;
    this.#client = fields.client;
  }

  /** Makes the topics and starts the traffic. No process runs yet. */
  static async open(run: FaultRun, pair: ClusterPair, options: CampaignOptions): Promise<Campaign> {
    const { age, kinds, recordsPerSecond = 100, off = '' } = options;
    const { seed = newSeed(run), name = run.id } = options;
    const link = { source: pair.source.bootstrap, target: pair.target.bootstrap };
    const replicationFactor = pair.source.brokers.length;
    const lanes: Lane[] = [];
    for (const kind of kinds) {
      const content = topicsOf(name, kind, { age, replicationFactor, recordsPerSecond });
      const ends = await LogEnds.open(link.target, content.topics);
      const rules = kind === 'bare' && off === '' ? 'ownership' : off;
      lanes.push(new Lane({ kind, mirror: `${name}-${kind}`, content, link, ends, off: rules }));
    }
    const client = openCluster(link.target);
    await client.connect();
    onTestFinished(async () => {
      await Promise.all(lanes.flatMap(({ all }) => all.map((lockstep) => lockstep.kill())));
      for (const { ends } of lanes) ends.close();
      client.close();
    });
    const before = lanes.flatMap(({ content }) => content.before);
    await writeWorkloads(link.source, before, { seed });
    const streams = lanes.flatMap(({ content }) => content.streams);
    const traffic = await spawnLiveTraffic(link.source, streams, { seed, run: name });
    onTestFinished(async () => {
      const stopped = traffic.stop().catch(() => {}); // a fault that failed may have left it without brokers
      await Promise.race([stopped, sleep(10_000)]);
    });
    return new Campaign({ run, pair, options, lanes, random: createRandom(seed), traffic, client });
  }

  get processes(): readonly LockstepProcess[] {
    return this.lanes.flatMap(({ all }) => all);
  }

  draw<T>(from: readonly T[]): T {
    return pick(this.random, from);
  }

  /** A random time below this. */
  moment(msMax: number): Promise<void> {
    return sleep(this.random.next() * msMax);
  }

  async stopTraffic(): Promise<void> {
    await this.#traffic.stop();
  }

  /**
   * How many of these partitions have no producer that the target's leader would know by its sequences, once that is so
   * for all of them or `withinMs` have passed.
   */
  async forgotten(places: readonly string[], withinMs = 10_000): Promise<number> {
    let gone = 0;
    const isGone = async (place: string): Promise<boolean> => {
      const at = place.lastIndexOf('/');
      const where = { topic: place.slice(0, at), partition: Number(place.slice(at + 1)) };
      const producers = await describeProducers(this.#client, where);
      return producers.every(({ lastSequence }) => lastSequence < 0);
    };
    const deadline = performance.now() + withinMs;
    do {
      gone = (await Promise.all(places.map(isGone))).filter(Boolean).length;
      if (gone < places.length) await sleep(200);
    } while (gone < places.length && performance.now() < deadline);
    return gone;
  }

  /** All that live end in good order, one more process copies what is left, and none of them had an incident. */
  async finish(): Promise<void> {
    await this.stopTraffic();
    await Promise.all(this.lanes.map((lane) => lane.interrupt()));
    const last = await runUntilCaughtUp(writeLink(this.#link()), { timeoutMs: settledWithinMs });
    expect(last.code, told(last)).toBe(0);
    expect(last.incidents, told(last)).toEqual([]);
    for (const lockstep of this.processes) expect(lockstep.incidents, lockstep.describe()).toEqual([]);
  }

  /**
   * Identical offset by offset for readers of both isolation levels, mapped record by record; judged by the checker of raw
   * batches, by Kafka's consumer and by `lockstep verify`.
   */
  async expectIdentical(): Promise<void> {
    const sides = { source: this.pair.source.bootstrap, target: this.pair.target.bootstrap };
    let records = 0;
    for (const transactions of ['preserve', 'committed-only'] as const) {
      const topics = this.lanes
        .filter(({ kind, spec }) => kind !== 'mapped' && (spec.transactions ?? 'preserve') === transactions)
        .flatMap(({ content }) => content.topics.map((topic) => ({ source: topic, target: topic })));
      if (topics.length === 0) continue;
      records += (await expectIdentical({ ...sides, topics, policy: { transactions } })).recordsEqual;
    }
    const mappedTopics = this.lanes.filter(({ kind }) => kind === 'mapped').flatMap(({ content }) => content.topics);
    const mapped = mappedTopics.length > 0 ? await expectDenseCopies(this.pair, mappedTopics) : 0;
    const verified = await expectVerified(this.#link());
    this.#run.outcome(
      `identical, ${records} records${mapped > 0 ? `, and ${mapped} mapped ones in their order` : ''}, no incident; lockstep verify: ${verified} records identical`,
    );
  }

  #link(): Link {
    const { source, target } = this.pair;
    const mirrors = Object.fromEntries(this.lanes.map(({ mirror, spec }) => [mirror, spec]));
    return { source: source.bootstrap, target: target.bootstrap, mirrors };
  }
}

/**
 * A leader of a partition of the topics; on the target not the coordinator of transactions, whose loss has faults and a
 * limit of its own (transactions.fault.test.ts, decision 5).
 */
export async function leaderToLose(
  pair: ClusterPair,
  side: Side,
  { topics, random }: { readonly topics: readonly string[]; readonly random: Random },
): Promise<{ readonly broker: KafkaBroker; readonly topic: string; readonly partition: number }> {
  const others = await othersThanCoordinator(pair, side);
  const led = [];
  for (const topic of topics)
    for (const { partition, leader } of await readLeaders(pair[side], topic)) {
      const broker = others.find(({ id }) => id === leader);
      if (broker) led.push({ broker, topic, partition });
    }
  return pick(random, led);
}

/** The brokers that may be lost: all of the source. */
export async function othersThanCoordinator(pair: ClusterPair, side: Side): Promise<readonly KafkaBroker[]> {
  const { brokers } = pair[side];
  if (side === 'source') return brokers;
  const [transactions] = await readLeaders(pair.target, '__transaction_state');
  return brokers.filter(({ id }) => id !== transactions?.leader);
}
