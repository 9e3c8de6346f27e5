/**
 * Several processes of one mirror against a played coordinator, in simulated time: they join, leave, crash, are slow, cut
 * off, paused and suspended at random. At no moment may two write to one shard, and nobody may write while requests of
 * somebody else can still land. Each schedule is made from a seed, which a failure names.
 */
import { describe, expect, test } from 'vitest';
import { GroupMember } from '#kafka/group-member.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { PlayedGroup, PlayedMachine } from '#testing/played-group.ts';
import { must } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import { createRandom, type Random } from '#util/random.ts';
import { decodeReport, encodeReport } from './assignment.ts';
import { TOLERANCE } from './balance.ts';
import { groupIdOf, Ownership, PROTOCOL_NAME, PROTOCOL_TYPE, type Term, TIMES } from './ownership.ts';
import { weightOfLevel } from './shard-load.ts';
import { shardName, type ShardName } from './shard-ranges.ts';

const SCHEDULES = Number(process.env['LOCKSTEP_SCHEDULES'] ?? 200);
const MEMBERS = 4;
const STEP_MS = 200;
const TROUBLE_MS = 150_000;
/** The longest fault that has just begun, the session of who is gone, and some to share out. */
const CALM_MS = 90_000;
const TOPIC = 'AAAAAAAAAAAAAAAAAAAAAQ';
const SHARDS = Array.from({ length: 10 }, (_, partition) => shardName(TOPIC, partition));

/** What is switched off to see that the test notices. */
type Broken = 'margin' | 'two phases' | 'quiet' | 'wall clock' | null;

class Process {
  readonly machine: PlayedMachine;
  readonly ownership: Ownership;
  readonly terms = new Map<ShardName, Term>();
  readonly ran: Promise<void>;
  isGone = false;

  constructor(world: World, name: string) {
    this.machine = new PlayedMachine(world.clock, world.group, world.random);
    this.machine.isWallStanding = world.broken === 'wall clock';
    const { cluster, clock } = this.machine;
    const times = world.times();
    const member = new GroupMember(cluster, {
      groupId: groupIdOf('mirror'),
      protocolType: PROTOCOL_TYPE,
      protocolName: PROTOCOL_NAME,
      sessionTimeoutMs: TIMES.sessionTimeoutMs,
    });
    this.ownership = new Ownership({
      member,
      clock,
      random: world.random,
      name,
      content: 'content',
      shards: () => new Set(SHARDS),
      levels: (held) => new Map([...held].map((shard) => [shard, must(world.levels.get(shard), 'level')])),
      times,
      onTerm: (term) => {
        world.count(term.takeover);
        this.terms.set(term.shard, term);
        term.lost.addEventListener('abort', () => void this.#drain(world, term));
      },
      onTrouble: () => {},
    });
    this.ran = this.ownership.run().then(() => {
      this.isGone = true;
    });
  }

  /** What was on its way is answered after a while. */
  async #drain(world: World, term: Term): Promise<void> {
    await sleep(this.machine.clock, world.random.next() * 3_000);
    world.released(this, term);
    term.release({ isSettled: world.hasWritten(this, term) || term.takeover === 'handed-over' });
  }
}

interface Write {
  readonly by: Process;
  readonly term: Term;
  readonly atMs: number;
  hasLanded: boolean;
}

class World {
  readonly clock = new ManualClock();
  readonly group = new PlayedGroup(this.clock);
  readonly random: Random;
  readonly #seed: number;
  readonly broken: Broken;
  readonly last = new Map<ShardName, Write>();
  /** What each shard costs: the same in the first of two schedules, anything in the second. */
  readonly levels: ReadonlyMap<ShardName, number>;
  readonly counts = { 'handed-over': 0, evicted: 0, writes: 0, faults: 0 };
  readonly processes: Process[] = [];
  violation: string | null = null;

  constructor(seed: number, broken: Broken) {
    this.#seed = seed;
    this.random = createRandom(seed);
    this.levels = new Map(SHARDS.map((shard) => [shard, seed % 4 < 2 ? 0 : Math.floor(this.random.next() * 40)]));
    this.broken = broken;
    if (broken === 'two phases') this.group.shown = (metadata) => withoutClaims(metadata);
  }

  /** In every second schedule the margin is shorter than a write may take, so that who takes over has to wait. */
  times(): Omit<typeof TIMES, 'sessionTimeoutMs'> {
    if (this.broken === 'quiet') return { ...TIMES, marginMs: 2_000, writeTimeoutMs: 2_000 };
    if (this.broken === 'margin') return { ...TIMES, marginMs: -60_000, writeTimeoutMs: -60_000 };
    return this.#seed % 2 === 0 ? TIMES : { ...TIMES, marginMs: 3_000 };
  }

  count(takeover: Term['takeover']): void {
    this.counts[takeover]++;
  }

  /** Everybody who may write to a shard does; a process that stands still does not. */
  write(): void {
    for (const shard of SHARDS) for (const by of this.processes) this.#writeTo(shard, by);
  }

  writeOf(by: Process): void {
    for (const shard of SHARDS) this.#writeTo(shard, by);
  }

  #writeTo(shard: ShardName, by: Process): void {
    if (by.isGone || by.machine.isPaused || !by.ownership.mayWrite(shard)) return;
    const term = must(by.terms.get(shard), 'term');
    const atMs = this.clock.monotonic();
    const last = this.last.get(shard);
    if (last && last.term !== term && !last.hasLanded && atMs < last.atMs + TIMES.writeTimeoutMs) {
      this.violation ??= `${shard} at ${atMs}: written by ${this.processes.indexOf(by)}, and by ${this.processes.indexOf(last.by)} at ${last.atMs}`;
    }
    this.counts.writes++;
    this.last.set(shard, { by, term, atMs, hasLanded: false });
  }

  released(by: Process, term: Term): void {
    const last = this.last.get(term.shard);
    if (last?.by === by && last.term === term) last.hasLanded = true;
  }

  hasWritten(by: Process, term: Term): boolean {
    const last = this.last.get(term.shard);
    return last?.by === by && last.term === term;
  }

  async run(ms: number, atEachStep: () => void = () => {}): Promise<void> {
    for (let passed = 0; passed < ms && !this.violation; passed += STEP_MS) {
      atEachStep();
      await this.clock.advance(STEP_MS);
      this.write();
    }
  }

  /** How many shards each of those who are there may write to. */
  writable(): number[] {
    return this.#writable().map(({ length }) => length);
  }

  #writable(): ShardName[][] {
    const alive = this.processes.filter(({ isGone }) => !isGone);
    return alive.map(({ ownership }) => SHARDS.filter((shard) => ownership.mayWrite(shard)));
  }

  /** Nobody has more than another beyond one shard, the heaviest, and what is left as it is. */
  get isBalanced(): boolean {
    const weightOf = (shard: ShardName): number => weightOfLevel(must(this.levels.get(shard), 'level'));
    const loads = this.#writable().map((shards) => shards.reduce((sum, shard) => sum + weightOf(shard), 0));
    const share = SHARDS.reduce((sum, shard) => sum + weightOf(shard), 0) / loads.length;
    const heaviest = Math.max(...SHARDS.map(weightOf));
    return Math.max(...loads) - Math.min(...loads) <= Math.max(heaviest, share * TOLERANCE);
  }

  get isShared(): boolean {
    const isWhole = this.writable().reduce((sum, count) => sum + count, 0) === SHARDS.length;
    const isQuiet = this.processes.every(({ isGone, machine }) => isGone || !(machine.isPaused || machine.isCutOff));
    return isWhole && isQuiet && this.isBalanced;
  }

  /** Somebody has measured what its shards cost; a leader that has just become one does not know it of the others'. */
  reweigh(): void {
    const alive = this.processes.filter(({ isGone }) => !isGone);
    alive[Math.floor(this.random.next() * alive.length)]?.ownership.reweigh();
  }

  start(): void {
    this.processes.push(new Process(this, `process ${this.processes.length}`));
  }

  /** A fault or a change, at random; those of a machine end after a while. */
  trouble(): void {
    const alive = this.processes.filter(({ isGone }) => !isGone);
    if (alive.length < MEMBERS && this.random.next() < 0.02) this.start();
    if (this.random.next() < 0.01) this.reweigh();
    if (this.random.next() >= 0.015) return;
    const by = alive[Math.floor(this.random.next() * alive.length)];
    if (!by || by.machine.isPaused) return;
    this.counts.faults++;
    const kind = Math.floor(this.random.next() * 6);
    const forMs = 1_000 + this.random.next() * 45_000;
    if (kind === 0) by.ownership.stop();
    else if (kind === 1) this.#crash(by);
    else if (kind === 2) this.#pause(by, 'running', forMs);
    else if (kind === 3) this.#pause(by, 'standing', forMs);
    else if (kind === 4) this.#cutOff(by, forMs);
    else by.machine.delayMs = [1, 20 + this.random.next() * 4_000];
  }

  #crash(by: Process): void {
    by.isGone = true;
    by.machine.pause('running');
  }

  #pause(by: Process, clocks: 'running' | 'standing', forMs: number): void {
    by.machine.pause(clocks);
    this.clock.schedule(forMs, () => {
      const deliver = by.machine.resume();
      this.writeOf(by); // the first that it does is to write, before it hears of anything
      deliver();
    });
  }

  #cutOff(by: Process, forMs: number): void {
    by.machine.isCutOff = true;
    this.clock.schedule(forMs, () => {
      by.machine.isCutOff = false;
    });
  }

  async end(): Promise<void> {
    for (const { ownership, machine } of this.processes) {
      ownership.close();
      if (machine.isPaused) machine.resume()();
    }
    await this.clock.advance(120_000);
  }
}

function withoutClaims(metadata: Buffer): Buffer {
  return encodeReport({ ...must(decodeReport(metadata), 'report'), claims: new Set() });
}

async function play(seed: number, broken: Broken = null): Promise<World> {
  const world = new World(seed, broken);
  world.start();
  await world.run(TROUBLE_MS, () => world.trouble());
  return world;
}

describe('processes of one mirror', () => {
  test(`never write to one shard at the same time, and share all of them when trouble ends, in ${SCHEDULES} schedules`, async () => {
    const base = Number(process.env['LOCKSTEP_SEED'] ?? Math.floor(Math.random() * 1e9));
    console.log(`ownership: seeds ${base} to ${base + SCHEDULES - 1}`);
    const totals = { 'handed-over': 0, evicted: 0, writes: 0, faults: 0, evictions: 0, generations: 0 };
    for (let seed = base; seed < base + SCHEDULES; seed++) {
      const world = await play(seed);
      expect(world.violation, `seed ${seed}`).toBeNull();
      for (const { machine } of world.processes) machine.delayMs = [1, 20];
      for (let calmMs = 0; calmMs < CALM_MS && !world.isShared; calmMs += 1_000) {
        if (world.processes.every(({ isGone }) => isGone)) world.start(); // the last one may just have been told to stop
        await world.run(1_000);
        if (calmMs % 10_000 === 0) world.reweigh();
      }
      expect(world.violation, `seed ${seed}`).toBeNull();
      const writable = world.writable();
      expect(
        writable.reduce((sum, count) => sum + count, 0),
        `seed ${seed}: all shards are owned`,
      ).toBe(SHARDS.length);
      expect(world.isBalanced, `seed ${seed}: ${writable.join(' ')}`).toBe(true);
      for (const name of ['handed-over', 'evicted', 'writes', 'faults'] as const) totals[name] += world.counts[name];
      totals.evictions += world.group.evictions;
      totals.generations += world.group.generation;
      await world.end();
    }
    console.log(`ownership: ${JSON.stringify(totals)}`);
    for (const count of Object.values(totals)) expect(count).toBeGreaterThan(SCHEDULES);
  }, 300_000);

  test.each(['margin', 'two phases', 'quiet', 'wall clock'] as const)(
    'would write at the same time without the %s',
    async (broken) => {
      let found = 0;
      for (let seed = 1; seed <= 20; seed++) {
        const world = await play(seed, broken);
        if (world.violation) found++;
        await world.end();
      }
      console.log(`ownership without ${broken}: ${found} of 20 schedules`);
      expect(found).toBeGreaterThan(0);
    },
  );
});
