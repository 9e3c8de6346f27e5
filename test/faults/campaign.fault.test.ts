/**
 * The campaign: processes of mirrors of every kind of topic are killed, stopped beyond their session and started double,
 * and brokers are killed, with records of now and of 40 days ago. Without ownership, and without the sequence rule too, the
 * same must come out wrong.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Incident } from '#contract/status.ts';
import { checks } from '#testing/checker/check-replication.ts';
import type { Finding } from '#testing/checker/check-replication.ts';
import { verifyMirror } from '#testing/checker/verify-mirror.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { must } from '#util/assert.ts';
import type { LockstepProcess } from '../acceptance/lockstep-process.ts';
import { Campaign, leaderToLose } from './campaign.ts';
import type { Lane } from './campaign-lane.ts';
import type { Age, Kind } from './campaign-topics.ts';
import { ownedKinds } from './campaign-topics.ts';
import { fault } from './fault.ts';
import type { FaultRun } from './fault.ts';
import { waitForInSync, waitForOther } from './leaders.ts';
import { clusterPair } from './mirror-under-test.ts';
import { expectStoppedAtRepeatedEnds, mayBeRepeatedEnd, placesOf } from './repeated-ends.ts';

/** Producers whose last record is older than a day are forgotten within a second. */
const sweeps = { 'producer.id.expiration.check.interval.ms': '1000' };
const single = clusterPair({ source: {}, target: { properties: sweeps } });
const session = { 'broker.session.timeout.ms': '6000' };
const triple = clusterPair({
  source: { brokers: 3, properties: session },
  target: { brokers: 3, properties: { ...session, ...sweeps } },
});

/** Lanes for records of now have one more, which the sequences alone keep exact. */
const kindsOf = (age: Age): readonly Kind[] => (age === 'current' ? [...ownedKinds, 'bare'] : ownedKinds);
const ages = ['current', 'old'] as const;
const agedTitle = { current: 'records of now', old: 'records of 40 days ago' } as const;

/** What happened to the processes of a campaign, in all its lanes together. */
class Tally {
  /** Faults at owned lanes, and those at bare ones. */
  owned = 0;
  bare = 0;
  /** Faults that met a process whose partitions had grown on the target until less than half a second before. */
  atWork = 0;
  /** Partitions that another process copied afterwards than before. */
  takeovers = 0;
  /** Partitions of which the target's leader knew no sequence when they were taken over, and how many were looked at. */
  forgotten = 0;
  looked = 0;
  readonly #campaign: Campaign;

  constructor(campaign: Campaign) {
    this.#campaign = campaign;
  }

  /** One process of a lane, in the middle of its work; returns it with what it copies. */
  async meet(lane: Lane): Promise<{ lockstep: Lane['live'][number]; held: readonly string[] }> {
    const lockstep = this.#campaign.draw(lane.live);
    const held = await lane.works(lockstep);
    await this.#campaign.moment(400);
    if (held.length > 0) this.atWork++;
    this.count(lane);
    return { lockstep, held };
  }

  count(lane: Lane, faults = 1): void {
    if (lane.isOwned) this.owned += faults;
    else this.bare += faults;
  }

  /** While nobody copies these partitions: what the target's leader knows of their producer. */
  async look(lane: Lane, held: readonly string[]): Promise<void> {
    if (lane.kind !== 'plain' && lane.kind !== 'started') return; // markers bear the time of the broker
    const isOld = this.#campaign.options.age === 'old';
    this.forgotten += await this.#campaign.forgotten(held, isOld ? 10_000 : 0);
    this.looked += held.length;
  }

  /** After the end: figures, and what they have to be. */
  tell(run: FaultRun): void {
    const { age, kinds } = this.#campaign.options;
    run.figure('that met a process at work', this.atWork);
    run.figure('partitions taken over', this.takeovers);
    const refusals = this.#campaign.lanes.reduce((sum, lane) => sum + lane.refusals(), 0);
    run.figure('writes refused by brokers for their sequence', refusals);
    run.figure('producer state gone at takeovers', `${this.forgotten} of ${this.looked}`);
    expect(this.atWork, 'faults that met a process at work').toBeGreaterThan(0);
    expect(this.takeovers, 'partitions taken over').toBeGreaterThan(0);
    if (kinds.includes('bare')) expect(refusals, 'writes refused by brokers').toBeGreaterThan(0);
    if (age === 'current') return;
    // Not all: on a machine that is overloaded the next owner may be at work before anybody has looked.
    expect(this.forgotten, 'producers that brokers have forgotten').toBeGreaterThan(this.looked / 2);
  }
}

async function judge(run: FaultRun, campaign: Campaign, tally: Tally): Promise<void> {
  await campaign.finish();
  await campaign.expectIdentical();
  tally.tell(run);
}

for (const age of ages) {
  const title = `50 random kill -9 of processes that share mirrors of 5 kinds of topics, ${agedTitle[age]}`;
  fault({ id: `campaign-kills-${age}`, title, timeoutMs: 900_000 }, async (run) => {
    const campaign = await Campaign.open(run, await single(), { age, kinds: kindsOf(age) });
    const tally = new Tally(campaign);
    const killTen = async (lane: Lane): Promise<void> => {
      lane.start(2);
      await campaign.moment(2_500); // the first one meets the making of the topics, of the group and of the log start
      await lane.kill(campaign.draw(lane.live));
      tally.count(lane);
      for (let kills = 1; kills < 10; kills++) {
        lane.start();
        await lane.shared('after a kill');
        const { lockstep, held } = await tally.meet(lane);
        await lane.kill(lockstep);
        await tally.look(lane, held);
        if (lane.isOwned) tally.takeovers += held.length;
      }
      await lane.shared('after the last kill');
    };
    await Promise.all(campaign.lanes.map(killTen));
    run.tookEffect(`${tally.owned} kills -9${age === 'current' ? `, and ${tally.bare} without ownership` : ''}`);
    expect(tally.owned).toBe(50);
    await judge(run, campaign, tally);
  });
}

for (const age of ages) {
  const title = `10 processes stopped with SIGSTOP past the session while another takes over, ${agedTitle[age]}`;
  fault({ id: `campaign-pauses-${age}`, title }, async (run) => {
    const campaign = await Campaign.open(run, await single(), { age, kinds: kindsOf(age) });
    const tally = new Tally(campaign);
    const pauseTwice = async (lane: Lane): Promise<void> => {
      lane.start(2);
      await lane.shared('by two');
      for (let pauses = 0; pauses < 2; pauses++) {
        const { lockstep, held } = await tally.meet(lane);
        lane.pause(lockstep);
        await tally.look(lane, held);
        if (!lane.isOwned) await sleep(22_000); // nobody has to wait for the end of a session
        await lane.shared('while one stands still');
        if (lane.isOwned) tally.takeovers += held.length;
        await campaign.moment(3_000);
        lane.resume(lockstep);
        await lane.shared('with the one that stood still');
      }
    };
    await Promise.all(campaign.lanes.map(pauseTwice));
    run.tookEffect(
      `${tally.owned} processes stood still until others copied their partitions, then went on${age === 'current' ? `, and ${tally.bare} without ownership` : ''}`,
    );
    expect(tally.owned).toBe(10);
    await judge(run, campaign, tally);
  });
}

for (const age of ages) {
  const title = `10 double starts, of two and of three processes at once, ${agedTitle[age]}`;
  fault({ id: `campaign-doubles-${age}`, title }, async (run) => {
    const campaign = await Campaign.open(run, await single(), { age, kinds: kindsOf(age) });
    const tally = new Tally(campaign);
    const startTwice = async (lane: Lane): Promise<void> => {
      for (const processes of [2, 3]) {
        lane.start(processes);
        tally.count(lane);
        await lane.shared(`by ${processes} that were started at once`);
        const held = await lane.works(campaign.draw(lane.live));
        if (held.length > 0) tally.atWork++;
        await campaign.moment(3_000);
        if (processes === 3) return;
        await Promise.all([...lane.live].map((lockstep) => lane.kill(lockstep)));
        await tally.look(lane, held);
        if (lane.isOwned) tally.takeovers += lane.count;
      }
    };
    await Promise.all(campaign.lanes.map(startTwice));
    run.tookEffect(
      `${tally.owned} double starts, half of them of three processes${age === 'current' ? `, and ${tally.bare} without ownership` : ''}`,
    );
    expect(tally.owned).toBe(10);
    await judge(run, campaign, tally);
  });
}

/**
 * Incidents of partitions that may have stopped because an end of a transaction was written twice. That does not take a new
 * coordinator: to the next leader of a partition the same one sends again what the lost one had appended (decision 5).
 */
function stopsOf({ all }: Lane): Incident[] {
  return all.flatMap(({ incidents }) => incidents).filter(mayBeRepeatedEnd);
}

/** Identical without an incident, or stopped at ends that stand twice, each shown, and identical below them. */
async function judgeEnds(run: FaultRun, campaign: Campaign): Promise<void> {
  const lane = must(campaign.lanes[0], 'lane');
  const stops = stopsOf(lane);
  if (stops.length === 0) {
    await campaign.finish();
    return campaign.expectIdentical();
  }
  await campaign.stopTraffic();
  await lane.standsStill(5_000);
  const ended = await Promise.all(lane.live.map((lockstep) => lockstep.interrupt()));
  const incidents = ended.flatMap((each) => each.incidents);
  expect(incidents, 'no other incident, and none twice').toHaveLength(stops.length);
  run.expects(incidents.map(({ code }) => code));
  const { told } = await expectStoppedAtRepeatedEnds(campaign.pair, {
    incidents,
    topics: lane.content.topics,
    policy: { transactions: 'preserve', timestamps: 'equal' },
  });
  run.outcome(`of the transactions ${told}`);
}

for (const age of ages) {
  const title = `5 leaders of 3+3 brokers killed with SIGKILL under mirrors of 5 kinds of topics, ${agedTitle[age]}`;
  fault({ id: `campaign-brokers-${age}`, title, timeoutMs: 900_000 }, async (run) => {
    const pair = await triple();
    const options = { age, recordsPerSecond: 40 };
    const kinds = kindsOf(age).filter((kind) => kind !== 'transactions');
    const campaign = await Campaign.open(run, pair, { ...options, kinds });
    const ending = await Campaign.open(run, pair, { ...options, kinds: ['transactions'] });
    const lanes = [...campaign.lanes, ...ending.lanes];
    for (const lane of lanes) lane.start(lane.isOwned ? 1 : 2);
    await Promise.all(lanes.map((lane) => lane.shared('with all brokers')));
    const topics = lanes.flatMap(({ content }) => content.topics);
    const go = (what: string): Promise<unknown> =>
      Promise.all([
        ...campaign.lanes.map((lane) => lane.advances(what)),
        ...ending.lanes.map((lane) => lane.advances(what, () => placesOf(stopsOf(lane)))),
      ]);
    const moves: string[] = [];
    let slowestMs = 0;
    for (const side of ['target', 'source', 'target', 'source', 'target'] as const) {
      await waitForInSync(pair[side], topics);
      await go('before a broker is killed');
      const { broker, topic, partition } = await leaderToLose(pair, side, { topics, random: campaign.random });
      const startedAt = performance.now();
      await broker.kill();
      const after = await waitForOther(pair[side], topic, { than: broker.id, partition });
      await go(`without broker ${broker.id} of the ${side}`);
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      moves.push(`${side} ${broker.id}→${after}`);
      process.stdout.write(`fault ${run.id}: ${moves.at(-1)}, all went on\n`);
      await broker.start();
    }
    run.tookEffect(`another broker led after each of 5 kills, which all met a copy at work: ${moves.join(', ')}`);
    run.figure('all partitions went on within s', slowestMs / 1000);
    run.figure(
      'writes refused by brokers for their sequence',
      lanes.reduce((sum, lane) => sum + lane.refusals(), 0),
    );
    await campaign.finish();
    await campaign.expectIdentical();
    await judgeEnds(run, ending);
  });
}

// ---- without the rules

const controls: readonly { id: string; title: string; kind: Kind; age: Age; off: string; share?: boolean }[] = [
  {
    id: 'campaign-unowned-old',
    title: 'three live processes without ownership, records of 40 days ago: the checker must find differences',
    kind: 'plain',
    age: 'old',
    off: 'ownership',
  },
  {
    id: 'campaign-unowned-transactions',
    title: 'three live processes without ownership, preserved transactions: the checker must find differences',
    kind: 'transactions',
    age: 'current',
    off: 'ownership',
  },
  {
    id: 'campaign-unowned-holes',
    title: 'three live processes without ownership, holes: the checker must find differences',
    kind: 'holes',
    age: 'current',
    off: 'ownership',
  },
  {
    id: 'campaign-unguarded-plain',
    title:
      'three live processes without ownership and without the sequence rule, plain records of now: the checker must find differences',
    kind: 'plain',
    age: 'current',
    off: 'ownership,sequence',
  },
];

/** Whether processes disturb each other before all of them have stopped is chance: each attempt has topics of its own. */
const ATTEMPTS = 5;

for (const { kind, age, off, ...spec } of controls) {
  fault(spec, async (run) => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const name = `${run.id}-${attempt}`;
      const campaign = await Campaign.open(run, await single(), {
        age,
        kinds: [kind],
        off,
        recordsPerSecond: 400,
        name,
      });
      const findings = await copyUnguarded(run, campaign);
      if (findings.length === 0) continue;
      run.figure('attempts', attempt);
      const found = findings.map(({ check, count }) => `${count} × ${checks[check]}`);
      return run.outcome(`not identical, as it must be: ${found.join(', ')}`);
    }
    throw new Error(`without ${off} one of ${ATTEMPTS} copies must be wrong`);
  });
}

/** Three processes copy everything beside each other, until all have stopped or for a minute; what is different then. */
async function copyUnguarded(run: FaultRun, campaign: Campaign): Promise<readonly Finding[]> {
  const lane = must(campaign.lanes[0], 'lane');
  lane.start(3);
  const mirrors = [...lane.live];
  const hasStopped = (): boolean => mirrors.some(({ incidents }) => incidents.length > 0);
  const startedAt = performance.now();
  const isWorking = (): boolean => hasStopped() || mirrors.every((each) => lane.held(each).length === lane.count);
  await waitUntil(isWorking, () => `three copy everything\n${lane.describe()}`, { timeoutMs: 60_000 });
  const until = performance.now() + 60_000;
  // Who stops tells no lie: only those who go on beside it may do what is looked for.
  const isAtRest = ({ incidents }: LockstepProcess): boolean => incidents.length === lane.count;
  let stoppedAt: number | null = null;
  while (performance.now() < until && !mirrors.every(isAtRest)) {
    if (hasStopped()) stoppedAt ??= performance.now();
    const lockstep = campaign.draw(mirrors);
    lockstep.signal('SIGSTOP');
    await campaign.moment(900);
    lockstep.signal('SIGCONT');
    await campaign.moment(400);
  }
  if (stoppedAt !== null) run.figure('until the first stopped in s', (stoppedAt - startedAt) / 1000);
  await campaign.stopTraffic();
  await lane.standsStill(3_000);
  for (const lockstep of mirrors) await lockstep.interrupt();
  const codes = mirrors.flatMap(({ incidents }) => incidents.map(({ code }) => code));
  run.tookEffect(
    `three processes copied the same partitions; ${lane.refusals()} writes were refused for their sequence; stopped ${codes.length} times: ${[...new Set(codes)].join(', ')}`,
  );
  const report = await verifyMirror({
    source: campaign.pair.source.bootstrap,
    target: campaign.pair.target.bootstrap,
    topics: lane.content.topics.map((topic) => ({ source: topic, target: topic })),
    // What is missing because all have stopped is no difference.
    policy: { transactions: lane.spec.transactions ?? 'preserve', isCaughtUp: false },
  });
  return report.topics.flatMap((topic) => topic.findings).filter(({ count }) => count > 0);
}
