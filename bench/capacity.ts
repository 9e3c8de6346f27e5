/**
 * What it takes at 500,000 records/s, 5,000 topics, 50,000 partitions and 1,000 groups with 1, 3 and 10 processes: the
 * assignment of shards, and what each process asks the brokers, run with the real code against a played estate. Prints the
 * tables of docs/capacity.md: `npx -c 'node bench/capacity.ts [SEED]'`. Times are processor time.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { compileTopicRules, planTopics } from '#contract/topic-rules.ts';
import { mirrorSchema, type MirrorResource } from '#contract/resources.ts';
import {
  assign,
  decodeAssignment,
  decodeReport,
  encodeAssignment,
  encodeReport,
  GROUP_BYTES_MAX,
  type Assignment,
  type GroupView,
  type MemberReport,
} from '#jobs/assignment.ts';
import { levelOf, weightOfLevel } from '#jobs/shard-load.ts';
import { shardName, type ShardName } from '#jobs/shard-ranges.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { Fetcher } from '#kafka/fetcher.ts';
import { GroupMemory } from '#mirror/group-memory.ts';
import { GroupSync } from '#mirror/group-sync.ts';
import { readEnds, readWatermarks } from '#mirror/offsets.ts';
import { Sharing } from '#mirror/sharing.ts';
import { fetchBody } from '#testing/broker-frames.ts';
import { PlayedBroker } from '#testing/played-broker.ts';
import { PlayedGroup, PlayedMachine } from '#testing/played-group.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { must } from '#util/assert.ts';
import { systemClock } from '#util/host.ts';
import { createRandom, type Random } from '#util/random.ts';
import { cpuUs, noTraffic, PlayedEstate, range, type EstateSize } from './played-estate.ts';

const SIZE: EstateSize = {
  topics: 5_000,
  partitionsPerTopic: 10,
  groups: 1_000,
  topicsPerGroup: 5,
  brokers: 6,
  replicas: 3,
};
const BYTES_PER_SECOND = 500e6; // 500,000 records/s of 1 KB
const WORKERS = [1, 3, 10];
/** Kafka's default of message.max.bytes, and so of one record of __consumer_offsets. */
const RECORD_BYTES_MAX = 1_048_588;

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;
const seed = Number(process.argv[2] ?? 20_261_122);

function print(title: string, rows: readonly Readonly<Record<string, string | number>>[]): void {
  process.stdout.write(`\n${title}\n`);
  const titles = Object.keys(rows[0] ?? {});
  const lines = [titles, titles.map(() => '---'), ...rows.map((row) => titles.map((key) => String(row[key] ?? '')))];
  process.stdout.write(`${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`);
}

const kb = (bytes: number): string => (bytes / 1024).toFixed(bytes < 10_240 ? 1 : 0);
const ms = (us: number): string => (us / 1000).toFixed(us < 10_000 ? 1 : 0);

/** Processor time of `work`, and what it returned. */
async function timed<T>(work: () => T | Promise<T>): Promise<{ readonly us: number; readonly value: T }> {
  const startedUs = cpuUs();
  const value = await work();
  return { us: cpuUs() - startedUs, value };
}

function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

function mirrorOf(match: string): MirrorResource {
  return mirrorSchema.parse({
    apiVersion: 'lockstep/v1',
    kind: 'Mirror',
    metadata: { name: 'east-to-west' },
    spec: { source: 'east', target: 'west', topics: [{ match }] },
  });
}

// ---- assignment

/** Rates of shards: a few topics have most of it (Zipf), each with partitions that differ by half. */
function ratesOf(estate: PlayedEstate): Map<ShardName, number> {
  const random = createRandom(seed);
  const order = estate.topics.map((_, index) => [random.next(), index] as const).toSorted(([a], [b]) => a - b);
  const total = order.reduce((sum, _, rank) => sum + 1 / (rank + 1), 0);
  const rates = new Map<ShardName, number>();
  for (const [rank, [, index]] of order.entries()) {
    const { topicId, partitions } = must(estate.topics[index], 'topic');
    const ofTopic = BYTES_PER_SECOND / (rank + 1) / total;
    for (const partition of range(partitions))
      rates.set(shardName(topicId, partition), (ofTopic / partitions) * (0.5 + random.next()));
  }
  return rates;
}

function uuidOf(random: Random): string {
  const hex = range(32).map(() => Math.floor(random.next() * 16).toString(16));
  return hex.join('').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

class Group {
  readonly rates: ReadonlyMap<ShardName, number>;
  readonly #shards: ReadonlySet<ShardName>;
  readonly #random = createRandom(seed);
  #reports = new Map<string, MemberReport>();
  #levels: GroupView['levels'] = new Map();
  #generation = 0;
  readonly rows: Record<string, string | number>[] = [];

  constructor(rates: ReadonlyMap<ShardName, number>) {
    this.rates = rates;
    this.#shards = new Set(rates.keys());
  }

  get size(): number {
    return this.#reports.size;
  }

  join(count: number): void {
    for (let i = 0; i < count; i++) {
      const name = `worker-${this.#generation}-${i}.mirror.example.com 1234567`;
      const report = { name, content: '0123456789abcdef', isTaking: true, generation: -1 };
      const none = { claims: new Set<ShardName>(), released: new Set<ShardName>(), levels: new Map() };
      // As brokers make member ids: the client's id and a UUID.
      this.#reports.set(`lockstep-${uuidOf(this.#random)}`, { ...report, ...none });
    }
  }

  die(): void {
    const [first] = this.#reports.keys();
    this.#reports.delete(must(first, 'member'));
  }

  /** Generations until nothing moves; the row is of the one that was largest. */
  async settle(what: string): Promise<void> {
    let most: Awaited<ReturnType<Group['step']>> | null = null;
    let [moved, generations] = [0, 0];
    for (;;) {
      const step = await this.step();
      generations++;
      moved += step.moved;
      if (!most || step.bytes > most.bytes) most = step;
      if (step.moved === 0 && step.givenUp === 0) break;
    }
    const loads = [...this.#reports.values()].map(({ claims }) =>
      [...claims].reduce((sum, shard) => sum + must(this.rates.get(shard), 'rate'), 0),
    );
    const counts = [...this.#reports.values()].map(({ claims }) => claims.size);
    this.rows.push({
      processes: this.size,
      what,
      generations,
      'shards that moved': moved,
      'MB/s each': `${(Math.min(...loads) / 1e6).toFixed(1)}–${(Math.max(...loads) / 1e6).toFixed(1)}`,
      'shards each': `${Math.min(...counts)}–${Math.max(...counts)}`,
      'leader, ms': ms(most.leaderUs),
      'member, ms': ms(most.memberUs),
      'JoinGroup, KiB': kb(most.largestReport),
      'its answer to the leader, KiB': kb(most.reports),
      'SyncGroup of the leader, KiB': kb(most.assignments),
      'group record, KiB': kb(most.bytes),
    });
    if (most.bytes > GROUP_BYTES_MAX) throw new Error(`${most.bytes} bytes: more than a group may have`);
  }

  async step() {
    const own = [...this.#reports.values()][0];
    const encoding = await timed(() => encodeReport(must(own, 'member')));
    const sent = [...this.#reports].map(([memberId, report]): [string, Buffer] => [memberId, encodeReport(report)]);
    const dealing = await timed(() => {
      const members = new Map(sent.map(([memberId, bytes]) => [memberId, decodeReport(bytes)]));
      const levels = new Map(this.#levels);
      for (const report of members.values())
        for (const [shard, level] of report?.levels ?? []) levels.set(shard, level);
      const leader = { name: 'leader', content: '0123456789abcdef' };
      const view = { generation: this.#generation + 1, shards: this.#shards, leader, members, levels };
      return {
        levels,
        assigned: [...assign(view)].map(([id, each]): [string, Buffer] => [id, encodeAssignment(each)]),
      };
    });
    const { levels, assigned } = dealing.value;
    this.#levels = levels;
    this.#generation++;
    const decoding = await timed(() => decodeAssignment(must(assigned[0], 'assignment')[1]));
    let [moved, givenUp] = [0, 0];
    for (const [memberId, bytes] of assigned) {
      const before = must(this.#reports.get(memberId), 'report');
      const { shards } = must<Assignment>(decodeAssignment(bytes), 'assignment');
      const claims = new Set(shards.keys());
      const released = new Set([...before.claims].filter((shard) => !claims.has(shard)));
      moved += [...claims].filter((shard) => !before.claims.has(shard)).length;
      givenUp += released.size;
      this.#reports.set(memberId, { ...before, claims, released, generation: this.#generation });
    }
    const [reports, assignments] = [sent, assigned].map((each) =>
      each.reduce((sum, [, { length }]) => sum + length, 0),
    );
    // Per member the broker keeps two ids, host, timeouts and the protocol's name beside.
    const bytes = must(reports, 'reports') + must(assignments, 'assignments') + sent.length * 150;
    return {
      moved,
      givenUp,
      leaderUs: dealing.us,
      memberUs: encoding.us + decoding.us,
      largestReport: Math.max(...sent.map(([, { length }]) => length)),
      reports: must(reports, 'reports'),
      assignments: must(assignments, 'assignments'),
      bytes,
    };
  }

  /** Everybody has measured what it copies. */
  measure(): void {
    for (const [memberId, report] of this.#reports) {
      const levels = new Map([...report.claims].map((shard) => [shard, levelOf(must(this.rates.get(shard), 'rate'))]));
      this.#reports.set(memberId, { ...report, levels });
    }
  }
}

async function assignments(estate: PlayedEstate): Promise<void> {
  const rates = ratesOf(estate);
  const rows: Record<string, string | number>[] = [];
  for (const workers of WORKERS) {
    const group = new Group(rates);
    group.join(workers);
    await group.settle('start, nothing measured');
    group.measure();
    await group.settle('measured');
    if (workers > 1) {
      group.die();
      await group.settle('one is gone');
      group.measure();
      group.join(1);
      await group.settle('and another joins');
    }
    rows.push(...group.rows);
  }
  print(
    `Assignment of ${rates.size} shards (limit ${kb(GROUP_BYTES_MAX)} KiB, brokers ${kb(RECORD_BYTES_MAX)} KiB)`,
    rows,
  );
  print('Beside it: shards divided at random among 10 processes', [scattered(rates)]);
  const before = heapBytes();
  const kept = new Map([...rates.keys()].map((shard) => [shard, weightOfLevel(0)]));
  print('Memory', [{ what: 'a map of all shards', MiB: ((heapBytes() - before) / 2 ** 20).toFixed(1), of: kept.size }]);
}

function scattered(rates: ReadonlyMap<ShardName, number>): Record<string, string> {
  const random = createRandom(seed);
  const claims = range(10).map(() => new Set<ShardName>());
  for (const shard of rates.keys()) must(claims[Math.floor(random.next() * 10)], 'member').add(shard);
  const head = { name: 'worker', content: 'content', isTaking: true, generation: 1, released: new Set<ShardName>() };
  const sum = (bytes: readonly Buffer[]): number => bytes.reduce((total, { length }) => total + length, 0);
  const reports = sum(
    claims.map((each) =>
      encodeReport({
        ...head,
        claims: each,
        levels: new Map([...each].map((shard) => [shard, levelOf(must(rates.get(shard), 'rate'))])),
      }),
    ),
  );
  const given = sum(
    claims.map((each) =>
      encodeAssignment({ shards: new Map([...each].map((shard) => [shard, 'handed-over'])), refusal: null }),
    ),
  );
  return { 'reports, KiB': kb(reports), 'assignments, KiB': kb(given) };
}

// ---- what is asked

interface Asked {
  readonly what: string;
  readonly everyS: number;
  /** Which processes do it. */
  readonly who: 'each' | 'first';
  readonly us: number;
  readonly requests: ReadonlyMap<string, number>;
  readonly bytesOut: number;
  readonly bytesIn: number;
  readonly largestAnswer: number;
}

async function ask(
  estate: PlayedEstate,
  { what, everyS, who }: Pick<Asked, 'what' | 'everyS' | 'who'>,
  work: () => unknown,
): Promise<Asked> {
  await work(); // opens connections and fills caches
  collect();
  estate.traffic = noTraffic();
  const { us } = await timed(work);
  const { requests, bytesOut, bytesIn, largestAnswer, playedUs } = estate.traffic;
  return { what, everyS, who, us: us - playedUs, requests: new Map(requests), bytesOut, bytesIn, largestAnswer };
}

async function questions(source: PlayedEstate, target: PlayedEstate): Promise<void> {
  const [from, to] = [await source.open('source'), await target.open('target')];
  const rules = compileTopicRules(mirrorOf('/.*/').spec.topics);
  const asked: Asked[] = [];
  const before = heapBytes();
  await from.refresh('all');
  const metadataBytes = heapBytes() - before;
  await to.refresh('all');
  const all = source.topics.flatMap(({ name, partitions }) =>
    range(partitions).map((partition) => ({ topic: name, partition })),
  );
  asked.push(
    await ask(source, { what: 'topics of the source', everyS: 5, who: 'each' }, async () =>
      planTopics(rules, await from.refresh('all')),
    ),
  );
  for (const workers of WORKERS.filter((count) => count > 1)) {
    const others = all.slice(0, Math.round(all.length * (1 - 1 / workers)));
    const of = `of others' partitions, ${workers} processes`;
    const everyS = Math.max(10, Math.round(others.length / 1_000)); // src/mirror/mirror.ts, OTHERS_PER_SECOND
    asked.push(
      await ask(source, { what: `source ends ${of}`, everyS, who: 'each' }, () => readEnds(from, others)),
      await ask(target, { what: `target ends ${of}`, everyS, who: 'each' }, () => readWatermarks(to, others)),
    );
  }
  asked.push(...(await groupRounds({ source, target, from, to })));
  print(
    `Questions to ${SIZE.brokers} brokers of a side`,
    asked.map(({ what, everyS, who, us, requests, bytesOut, bytesIn, largestAnswer }) => {
      const count = [...requests.values()].reduce((sum, each) => sum + each, 0);
      return {
        what,
        'every s': everyS,
        process: who,
        requests: [...requests].map(([name, each]) => `${each} ${name}`).join(', '),
        'requests/s to a broker': (count / everyS / SIZE.brokers).toFixed(2),
        'sent, KiB': kb(bytesOut),
        'received, KiB': kb(bytesIn),
        'largest answer, KiB': kb(largestAnswer),
        'CPU ms': us === 0 ? 'above' : ms(us),
        '% of a core': us === 0 ? 'above' : (us / 1e4 / everyS).toFixed(1),
      };
    }),
  );
  print('Memory', [{ what: 'metadata of the source', MiB: (metadataBytes / 2 ** 20).toFixed(1), of: all.length }]);
  from.close();
  to.close();
}

async function groupRounds(sides: {
  readonly source: PlayedEstate;
  readonly target: PlayedEstate;
  readonly from: Cluster;
  readonly to: Cluster;
}): Promise<Asked[]> {
  const { source, target, from, to } = sides;
  const written = { records: 0, bytes: 0 };
  const topics = source.topics.map(({ name, topicId, partitions }, index) => ({
    sourceTopic: name,
    sourceTopicId: topicId,
    targetTopic: name,
    targetTopicId: must(target.topics[index], 'topic of the target').topicId,
    copyStarts: range(partitions).map(() => 0),
  }));
  const store = {
    groupsOf: () => [],
    putGroups: (_: string, groups: readonly unknown[]) => {
      written.records += groups.length;
      written.bytes += JSON.stringify(groups).length;
      return Promise.resolve();
    },
  };
  const sync = new GroupSync({
    mirror: 'bench',
    settings: { match: ['/.*/'], exclude: [], everyMs: 5_000, deleted: 'keep', checkpoints: false },
    source: from,
    target: to,
    clock: systemClock,
    memory: new GroupMemory(store, { mirrorId: 'bench', clock: systemClock }),
    isLeader: () => true,
    readTopics: () => Promise.resolve(topics),
    onEvent: ({ inPlace, leftAlone }) => {
      if (inPlace !== SIZE.groups) throw new Error(`groups were left alone: ${JSON.stringify(leftAlone.slice(0, 2))}`);
    },
    onFailure: (error) => {
      throw error;
    },
  });
  const round = async (what: string): Promise<Asked[]> => {
    target.traffic = noTraffic();
    source.traffic = noTraffic();
    const { us } = await timed(() => sync.pass());
    const playedUs = source.traffic.playedUs + target.traffic.playedUs;
    const sides = [source, target];
    return sides.map(({ traffic }, side) => ({
      ...traffic,
      requests: new Map(traffic.requests),
      what: `${what}, ${side === 0 ? 'source' : 'target'}`,
      everyS: 5,
      who: 'first',
      us: side === 0 ? us - playedUs : 0, // one process, both sides
    }));
  };
  const before = heapBytes();
  await sync.pass();
  const places = SIZE.groups * SIZE.topicsPerGroup * SIZE.partitionsPerTopic;
  print('Group places', [
    {
      places,
      'MiB of memory': ((heapBytes() - before) / 2 ** 20).toFixed(1),
      'records of the state topic': written.records,
      'KiB of them as JSON': kb(written.bytes),
    },
  ]);
  target.committed = source.committed;
  await sync.pass();
  const still = await round('groups, none has moved');
  source.committed += 1_000;
  const moving = await round('groups, all have moved');
  return [...still, ...moving];
}

// ---- what a process does with what it has

async function insides(): Promise<void> {
  const rows: Record<string, string>[] = [];
  for (const count of [5_000, 16_667, 50_000]) {
    const perBroker = Math.round(count / SIZE.brokers);
    const fetch = await idleFetch(perBroker);
    const tellUs = await tellOf(count);
    rows.push({
      'partitions of a process': String(count),
      'first Fetch to a broker, KiB': kb(fetch.firstBytes),
      'idle Fetch, bytes': String(fetch.idleBytes),
      'idle Fetch, ms': ms(fetch.us),
      'fetching, % of a core (2/s to each broker)': ((fetch.us * 2 * SIZE.brokers) / 1e4).toFixed(1),
      'its heap, bytes a partition': String(Math.round(fetch.heapBytes / perBroker)),
      'sharing, ms each second': ms(tellUs),
    });
  }
  print('Inside a process', rows);
}

async function idleFetch(partitions: number) {
  const broker = await PlayedBroker.open();
  const { connection, clock, pool } = broker;
  const before = heapBytes();
  const fetcher = new Fetcher({
    connection,
    clock,
    pool,
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 4 * 1024 * 1024,
    requestTimeoutMs: 30_000,
    afterResponse: () => {},
  });
  const random = createRandom(seed);
  const ids = range(Math.ceil(partitions / 2)).map(() =>
    Buffer.from(range(16).map(() => Math.floor(random.next() * 256))).toString('base64url'),
  );
  for (const index of range(partitions))
    fetcher.add({
      topicId: must(ids[index >> 1], 'topic id'),
      partition: index & 1,
      fetchOffset: index === 0 ? 0 : 1_000_000, // the first one wakes the fetcher before the others are there
      fetchLeaderEpoch: 7,
      lastFetchedEpoch: -1,
      fetchBytesMax: 1024 * 1024,
      onFetched: () => {},
      onFetchLost: () => {},
    });
  /** Bytes of the request. */
  const round = async (): Promise<number> => {
    const request = broker.take();
    broker.answer(request, fetchBody({ sessionId: 1 }));
    await settle();
    return request.reader.end + 4;
  };
  await settle();
  const sizes = [await round(), await round(), await round()];
  const heap = heapBytes() - before;
  const rounds = 20;
  const { us } = await timed(async () => {
    for (let i = 0; i < rounds; i++) await round();
  });
  return { firstBytes: Math.max(...sizes), idleBytes: must(sizes.at(-1), 'size'), us: us / rounds, heapBytes: heap };
}

async function tellOf(count: number): Promise<number> {
  const clock = new ManualClock();
  const machine = new PlayedMachine(clock, new PlayedGroup(clock), createRandom(1));
  const partitions = new Map(
    range(count).map((index) => [
      shardName(must(source.topics[Math.floor(index / 10)], 'topic').topicId, index % 10),
      {
        topic: `topic-${Math.floor(index / 10)}`,
        partition: index % 10,
        isHeld: true,
        bytesCopied: index,
        hold: () => Promise.resolve(),
      },
    ]),
  );
  const sharing = new Sharing({
    resource: mirrorOf('orders'),
    mirrorId: 'mirror',
    target: machine.cluster,
    clock,
    random: createRandom(1),
    process: 'bench',
    partitions,
    grant: '',
    onEvent: () => {},
    onWarning: () => {},
    onBug: () => {},
  });
  sharing.tell();
  const rounds = 20;
  const { us } = await timed(async () => {
    for (let i = 0; i < rounds; i++) {
      await clock.advance(1_000);
      sharing.tell();
    }
  });
  sharing.close();
  return us / rounds;
}

const source = new PlayedEstate(SIZE, { seed, committed: 900_000 });
const target = new PlayedEstate(SIZE, { seed: seed + 1, committed: 0 });
process.stdout.write(`seed ${seed}, Node ${process.version}, ${JSON.stringify(SIZE)}\n`);
await assignments(source);
await questions(source, target);
await insides();
process.stdout.write(`\npeak RSS ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB\n`);
