/**
 * Schedules of a partition with identical offsets, each made from a number: who writes, what the source does, what is lost,
 * refused or late, who is killed or stands still; and at most one thing that must stop it.
 */
import { createRandom } from '#util/random.ts';
import { assert } from '#util/assert.ts';
import type { ProduceFate } from '../played-cluster.ts';
import type { CallFate, AfterDeath } from './simulated-process.ts';
import { DATA_PID, ShardWorld, type MirrorProcess, type ShardPlan, type Writers } from './shard-world.ts';

/** Which is why a partition has to stop. */
type Twist = 'truncation' | 'retention' | 'foreign' | null;

const STEPS = { doubles: 40, alone: 40, group: 160 } as const satisfies Record<Writers, number>;
const STEP_MS = { doubles: 300, alone: 300, group: 1_000 } as const satisfies Record<Writers, number>;
const REFUSALS = [3, 6, 7, 19, 20, 45, 56, -1] as const;
/** Longer than this after its connection was lost nothing may land that its process did not wait for (shard.ts, STILL_MS). */
const LATE_MS = 800;
/** Of a process that is gone: its successor has waited for so long. */
const LATE_AFTER_DEATH_MS = 9_000;

/** How likely each is, at each write, call or step; 0 in schedules that do without it. */
interface Rates {
  readonly write: number;
  readonly call: number;
  readonly kill: number;
  readonly pause: number;
  readonly cut: number;
  readonly hangUp: number;
  readonly election: number;
  readonly compaction: number;
  readonly stop: number;
}

export async function playShard(
  seed: number,
  writers: Writers,
  transactions: ShardPlan['transactions'],
): Promise<Readonly<Record<string, number>>> {
  const random = createRandom(seed);
  const protocol = random.next() < 0.5 ? 'implicit' : 'explicit';
  const world = new ShardWorld({ writers, transactions, protocol }, random);
  await new Schedule(world).play();
  return world.counts;
}

/**
 * The same short schedule again and again, killed before the first, the second, … of all events that reach the process; what
 * it had sent lands, is lost or lands late. Returns the number of crashes.
 */
export async function crashEverywhere(
  seed: number,
  transactions: ShardPlan['transactions'],
): Promise<{ readonly crashes: number }> {
  let crashes = 0;
  for (const after of ['lands', 'is lost', { landsAfterMs: 700 }] as const) {
    for (let event = 1, isOver = false; !isOver; event++) {
      const random = createRandom(seed);
      const protocol = random.next() < 0.5 ? 'implicit' : 'explicit';
      const world = new ShardWorld({ writers: 'alone', transactions, protocol }, random);
      isOver = !(await new Schedule(world).playCrash(event, after).catch((error: unknown) => {
        throw new Error(`killed before event ${event}, what it sent ${JSON.stringify(after)}`, { cause: error });
      }));
      if (!isOver) crashes++;
    }
  }
  return { crashes };
}

class Schedule {
  readonly #world: ShardWorld;
  readonly #rates: Rates;
  readonly #twist: Twist;
  readonly #isForgetful: boolean;
  #isCalm = false;
  /** Successors of killed and stopped processes that have not begun yet. */
  #coming = 0;

  constructor(world: ShardWorld) {
    this.#world = world;
    const { writers } = world.plan;
    const rate = (share: number, isPossible = true): number => (isPossible && world.chance(0.5) ? share : 0);
    // Where nothing is lost a broker may forget who wrote old records at any time: only that one writes keeps order (rule 3).
    this.#isForgetful = writers === 'group' && world.chance(0.3);
    const isLossy = !this.#isForgetful;
    if (this.#isForgetful) world.expirationMs = 0;
    this.#rates = {
      write: rate(0.25),
      call: rate(0.06, isLossy),
      kill: rate(writers === 'group' ? 0.02 : 0.06),
      pause: this.#isForgetful ? 0.1 : rate(0.02, writers === 'group'),
      cut: rate(0.02, writers === 'group' && isLossy),
      hangUp: rate(0.04, isLossy),
      election: rate(0.03, isLossy),
      compaction: rate(0.1, writers !== 'doubles'),
      stop: rate(0.02, writers !== 'doubles'),
    };
    this.#twist = this.#chooseTwist();
    if (world.chance(0.3)) world.source.log.end = world.source.log.logStart = 1 + world.below(1_200);
    world.fateOf = (name) => this.#fateOfCall(name);
    world.target.onProduce = () => this.#fateOfBatch();
  }

  #chooseTwist(): Twist {
    if (!this.#world.chance(0.3)) return null;
    const twists: Twist[] = ['retention', 'foreign'];
    // Of two that write at once one may record the new leader epoch, and the other have older batches on its way: it stops
    // as loudly, and names a later offset. Only ownership keeps the two apart.
    if (this.#world.isPlain && this.#world.plan.writers !== 'doubles') twists.push('truncation', 'truncation');
    return twists[this.#world.below(twists.length)] ?? null;
  }

  async play(): Promise<void> {
    const world = this.#world;
    const { writers } = world.plan;
    for (let i = 0; i < (writers === 'doubles' ? 3 : 1); i++) world.start();
    for (let step = 0; step < STEPS[writers] && world.error === null && !this.#isStopped; step++) {
      if (world.chance(writers === 'group' && !this.#isForgetful ? 0.2 : 0.6))
        for (let i = world.below(4); i >= 0; i--) world.write();
      this.#trouble();
      await world.clock.advance(world.below(STEP_MS[writers]));
    }
    await this.#finish();
  }

  /** False where it ended before the event. */
  async playCrash(event: number, after: AfterDeath): Promise<boolean> {
    const world = this.#world;
    this.#isCalm = true;
    for (let i = 0; i < 10; i++) world.write();
    world.endAll();
    let hasCrashed = false;
    const first = world.start();
    first.host.onEvent = (count) => {
      if (count !== event) return;
      hasCrashed = true;
      this.#replace(first, after);
    };
    for (let i = 0; i < 6; i++) {
      await world.clock.advance(400);
      world.write();
    }
    await this.#finish();
    return hasCrashed;
  }

  get #isStopped(): boolean {
    return this.#world.incidents.length > 0;
  }

  async #finish(): Promise<void> {
    const world = this.#world;
    this.#isCalm = true;
    for (const { host } of world.alive) {
      host.machine.isCutOff = false;
      if (host.machine.isPaused) host.machine.resume()();
    }
    world.endAll();
    const isOver = (): boolean => {
      if (world.alive.length === 0 && this.#coming === 0) this.#succeed(LATE_AFTER_DEATH_MS + 1_000);
      return world.isCopied || this.#isStopped;
    };
    await world.until(isOver, 'all is copied, or it has stopped');
    if (world.foreignAt !== null && !this.#isStopped) await this.#lookAgain();
    this.#judge();
  }

  /** What another program wrote behind the last record is found at the next one, or at the next start. */
  async #lookAgain(): Promise<void> {
    const world = this.#world;
    world.append(-1);
    await world.until(() => this.#isStopped, 'the foreign writer is found');
  }

  #succeed(afterMs: number): void {
    this.#coming++;
    this.#world.clock.schedule(afterMs, () => {
      this.#coming--;
      this.#world.start();
    });
  }

  #judge(): void {
    const world = this.#world;
    const [incident] = world.incidents;
    if (!incident) {
      const found = world.differences();
      const isCut = world.truncations.length > 0;
      assert(
        found.length === 0,
        `${isCut ? 'a truncation was not seen; ' : ''}${found.join('; ')}; ${world.describe()}`,
      );
      return;
    }
    world.count(incident.code);
    const from = incident.offsets?.from ?? -1;
    if (incident.code === 'SHARD_TRANSACTION_BROKEN' && world.hasLostOpen()) return;
    // Of several that write at once one may have read on what another one finds gone.
    const isOvertaken = world.plan.writers === 'doubles' && from < world.source.log.logStart;
    if (incident.code === 'SHARD_RETENTION_LOSS' && isOvertaken) return;
    const expected = this.#expectedStop(from);
    assert(
      expected !== null && incident.code === expected.code && from === expected.from,
      `${incident.code} from ${from} was told, expected was ${JSON.stringify(expected)}; ${world.describe()}`,
    );
    const below = world.differences(Math.min(from, ...world.unseenTruncations));
    assert(below.length === 0, `below the incident: ${below.join('; ')}; ${world.describe()}`);
  }

  /** Of several truncations the one that the mirror met: what lies below it is compared. */
  #expectedStop(from: number): { code: string; from: number } | null {
    const { truncations, foreignAt, source, target } = this.#world;
    if (foreignAt !== null) return { code: 'SHARD_DIVERGED', from: foreignAt };
    const cut = truncations.find(({ offset }) => offset === from) ?? truncations[0];
    if (cut) return { code: 'SHARD_TRUNCATED', from: cut.offset };
    if (source.log.logStart > target.log.end) return { code: 'SHARD_RETENTION_LOSS', from: target.log.end };
    return null;
  }

  // ---- what happens

  #trouble(): void {
    const world = this.#world;
    const rates = this.#rates;
    if (world.plan.writers === 'group') this.#join();
    if (this.#isForgetful && world.chance(0.6) && world.target.log.producers.delete(DATA_PID)) world.count('forgotten');
    if (world.chance(rates.compaction)) world.compact();
    if (world.chance(rates.election)) this.#elect();
    if (world.chance(rates.hangUp)) {
      const side = world.chance(0.5) ? world.source : world.target;
      side.hangUp();
      world.count('hangUps');
    }
    const process = world.alive[world.below(world.alive.length)];
    if (process && !process.host.machine.isPaused) this.#befall(process);
    if (this.#twist !== null && world.chance(0.05)) this.#turn(this.#twist);
  }

  #befall(process: MirrorProcess): void {
    const world = this.#world;
    const rates = this.#rates;
    const { machine } = process.host;
    const forMs = 1_000 + world.below(45_000);
    if (world.chance(rates.kill)) this.#replace(process, this.#afterDeath());
    else if (world.chance(rates.stop)) {
      world.count('stops');
      process.stop();
      if (!process.ownership) this.#succeed(11_000 + world.below(1_000));
    } else if (world.chance(rates.pause)) {
      world.count('pauses');
      machine.pause(world.chance(0.5) ? 'running' : 'standing');
      world.clock.schedule(forMs, () => {
        if (machine.isPaused && !process.host.isDead) machine.resume()();
      });
    } else if (world.chance(rates.cut)) {
      world.count('cuts');
      machine.isCutOff = true;
      world.clock.schedule(forMs, () => {
        if (!process.host.isDead) machine.isCutOff = false;
      });
    }
  }

  #afterDeath(): AfterDeath {
    const world = this.#world;
    const draw = world.random.next();
    if (draw < 0.4) return 'lands';
    return draw < 0.7 ? 'is lost' : { landsAfterMs: 1 + world.below(LATE_AFTER_DEATH_MS) };
  }

  /** Killed; where no group cares for it, another one begins when what was sent has landed. */
  #replace(process: MirrorProcess, after: AfterDeath): void {
    const world = this.#world;
    world.count('kills');
    process.host.kill(after);
    const { writers } = world.plan;
    if (writers === 'group') return;
    const landsMs = (this.#isCalm ? 20 : LATE_MS + 20) + (typeof after === 'string' ? 0 : after.landsAfterMs);
    // A broker forgets who wrote old records, at any time: then only that nobody else writes is left (rules 2 and 3).
    if (writers === 'alone' && world.chance(0.3))
      world.clock.schedule(landsMs, () => {
        if (world.target.log.producers.delete(DATA_PID)) world.count('forgotten');
      });
    this.#succeed(writers === 'doubles' ? world.below(2_000) : landsMs + world.below(500));
  }

  #join(): void {
    const world = this.#world;
    if (world.alive.length === 0 || (world.alive.length < 3 && world.chance(0.05))) world.start();
  }

  #elect(): void {
    const world = this.#world;
    const side = world.chance(0.5) ? world.source : world.target;
    side.leader = -1;
    side.hangUp();
    side.log.leaderEpoch++;
    world.count('elections');
    world.clock.schedule(world.below(3_000), () => (side.leader = 1));
  }

  #turn(twist: Exclude<Twist, null>): void {
    const world = this.#world;
    if (twist === 'truncation' && world.truncations.length < 2) world.truncate();
    else if (twist === 'foreign') world.writeForeign();
    else if (twist === 'retention') {
      const { log } = world.source;
      log.deleteBefore(log.logStart + world.below(log.stableOffset - log.logStart + 1));
      world.count('retention');
    }
  }

  // ---- what becomes of requests

  #fateOfBatch(): ProduceFate | null {
    const world = this.#world;
    if (this.#isCalm || !world.chance(this.#rates.write)) return null;
    const draw = this.#isForgetful ? 0.6 + 0.4 * world.random.next() : world.random.next();
    world.count(draw < 0.4 ? 'lost' : draw < 0.55 ? 'late' : 'refused');
    if (draw < 0.4) return { lose: true, isAppended: world.chance(0.5) };
    if (draw < 0.55) return { lose: true, isAppended: false, landsAfterMs: 1 + world.below(LATE_MS) };
    if (draw < 0.6) return { ignore: true };
    const errorCode = REFUSALS[world.below(REFUSALS.length)] ?? 45;
    return {
      errorCode,
      isAppended: errorCode === 7 || errorCode === 20 || errorCode === -1 ? world.chance(0.5) : false,
    };
  }

  #fateOfCall(name: string): CallFate | null {
    const world = this.#world;
    if (this.#isCalm || !world.chance(this.#rates.call)) return null;
    world.count(`${name} lost`);
    const draw = world.random.next();
    if (draw < 0.4) return 'no answer';
    // One that comes late aborts what was begun meanwhile: exactness.md says so.
    if (draw < 0.7 || name === 'InitProducerId') return 'no effect';
    return { afterMs: 1 + world.below(LATE_MS) };
  }
}
