/** What a process does with what its group says; that two never write at once is ownership.sim.test.ts. */
import { describe, expect, test } from 'vitest';
import type { AppError } from '#contract/errors.ts';
import { GroupMember } from '#kafka/group-member.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { PlayedGroup, PlayedMachine } from '#testing/played-group.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { decodeReport, encodeReport } from './assignment.ts';
import { groupIdOf, Ownership, PROTOCOL_NAME, PROTOCOL_TYPE, type Term, TIMES } from './ownership.ts';
import { shardName, type ShardName } from './shard-ranges.ts';

const SHARDS = [0, 1, 2, 3].map((partition) => shardName('AAAAAAAAAAAAAAAAAAAAAQ', partition));
const FENCE_MS = TIMES.sessionTimeoutMs - TIMES.marginMs;

function startWorld() {
  const clock = new ManualClock();
  const group = new PlayedGroup(clock);
  /** What was begun comes first, then time passes. */
  const pass = async (ms: number): Promise<void> => {
    await settle();
    await clock.advance(ms);
  };
  const shards = new Set(SHARDS);
  /** What each costs, as everybody measures it. */
  const levels = new Map<ShardName, number>();
  const start = (name: string, options: { content?: string; keeps?: boolean; times?: Partial<typeof TIMES> } = {}) => {
    const machine = new PlayedMachine(clock, group, createRandom(7));
    const terms: Term[] = [];
    const troubles: (AppError | null)[] = [];
    const member = new GroupMember(machine.cluster, {
      groupId: groupIdOf('mirror'),
      protocolType: PROTOCOL_TYPE,
      protocolName: PROTOCOL_NAME,
      sessionTimeoutMs: TIMES.sessionTimeoutMs,
    });
    const ownership = new Ownership({
      member,
      clock: machine.clock,
      random: createRandom(8),
      name,
      content: options.content ?? 'same',
      shards: () => shards,
      levels: (held) =>
        new Map([...held].flatMap((shard) => (levels.has(shard) ? [[shard, levels.get(shard) ?? 0]] : []))),
      times: { ...TIMES, ...options.times },
      onTerm: (term) => {
        terms.push(term);
        term.lost.addEventListener('abort', () => options.keeps || term.release({ isSettled: true }));
      },
      onTrouble: (trouble) => troubles.push(trouble),
    });
    let hasEnded = false;
    const ran = ownership.run().then(() => {
      hasEnded = true;
    });
    const mine = (): ShardName[] => SHARDS.filter((shard) => ownership.mayWrite(shard));
    return { machine, ownership, terms, troubles, ran, mine, hasEnded: () => hasEnded };
  };
  return { clock, pass, group, shards, levels, start };
}

describe('a process alone', () => {
  test('has all shards at once', async () => {
    const { clock, start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    expect(a.mine()).toEqual(SHARDS);
    expect(a.terms.map(({ takeover, quietAtMs }) => [takeover, quietAtMs <= clock.monotonic()])).toEqual(
      SHARDS.map(() => ['evicted', true]),
    );
  });

  test('waits as long as a write may take beyond the margin', async () => {
    const { start, pass } = startWorld();
    const a = start('a', { times: { writeTimeoutMs: TIMES.marginMs + 5_000 } });
    await pass(4_900);
    expect(a.mine()).toEqual([]);
    await pass(1_000);
    expect(a.mine()).toEqual(SHARDS);
  });

  test('stops to write a margin before its session ends, and goes on with the next heartbeat that is accepted', async () => {
    const { start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    a.machine.isCutOff = true;
    await pass(FENCE_MS - 600);
    expect(a.mine()).toEqual(SHARDS);
    await pass(600);
    expect(a.mine()).toEqual([]);
    a.machine.isCutOff = false;
    await pass(8_000);
    expect(a.mine()).toEqual(SHARDS);
    expect(a.terms).toHaveLength(SHARDS.length);
    expect(a.troubles.map((trouble) => trouble?.code ?? null).at(-1)).toBeNull();
  });

  test('stops to write when the machine was suspended, though its clock stood still', async () => {
    const { start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    a.machine.pause('standing');
    await pass(60_000);
    const deliver = a.machine.resume();
    expect(a.mine()).toEqual([]);
    deliver();
  });

  test('leaves without another generation, and is not waited for by the next', async () => {
    const { group, start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    a.ownership.stop();
    await pass(500);
    expect([a.hasEnded(), group.memberIds, group.generation]).toEqual([true, [], 2]);
    const b = start('b');
    await pass(500);
    expect(b.mine()).toEqual(SHARDS);
  });

  test('that hears at joining that it is no member any more has lost everything, and begins anew', async () => {
    const { group, start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    group.plannedErrors.push({ api: 'JoinGroup', code: 25 });
    a.ownership.changed();
    await pass(500);
    expect(a.terms.map(({ lost }) => lost.aborted)).toEqual([true, true, true, true]);
    expect([a.mine(), a.ownership.held.size]).toEqual([[], 0]);
    await pass(TIMES.sessionTimeoutMs + 1_000); // until the group has noticed
    expect(a.mine()).toEqual(SHARDS);
    expect(a.terms.slice(4).map(({ takeover }) => takeover)).toEqual(['evicted', 'evicted', 'evicted', 'evicted']);
  });

  test('takes new shards when it is told that there are some', async () => {
    const { shards, start, pass } = startWorld();
    shards.delete(must(SHARDS[3], 'shard'));
    const a = start('a');
    await pass(500);
    expect(a.mine()).toHaveLength(3);
    shards.add(must(SHARDS[3], 'shard'));
    a.ownership.changed();
    await pass(500);
    expect(a.mine()).toEqual(SHARDS);
  });
});

describe('a second process', () => {
  test('gets its share from the first by hand, when the first has finished', async () => {
    const { start, pass } = startWorld();
    const a = start('a', { keeps: true });
    await pass(500);
    const b = start('b');
    await pass(10_000);
    expect([a.mine().length, b.mine().length]).toEqual([2, 0]);
    for (const term of a.terms) if (term.lost.aborted) term.release({ isSettled: true });
    await pass(3_000);
    expect([a.mine().length, b.mine().length]).toEqual([2, 2]);
    expect(b.terms.map(({ takeover }) => takeover)).toEqual(['handed-over', 'handed-over']);
  });

  test('counts as the first after an eviction when the first had not read its position', async () => {
    const { start, pass } = startWorld();
    const a = start('a', { keeps: true });
    await pass(500);
    const b = start('b');
    await pass(3_000);
    for (const term of a.terms) if (term.lost.aborted) term.release({ isSettled: false });
    await pass(3_000);
    expect(b.terms.map(({ takeover }) => takeover)).toEqual(['evicted', 'evicted']);
  });

  test('that goes again leaves the first with what it was giving up, to be settled anew where it was not', async () => {
    const { start, pass } = startWorld();
    const a = start('a', { keeps: true });
    await pass(500);
    const b = start('b');
    await pass(3_000);
    const [one, other] = a.terms.filter(({ lost }) => lost.aborted);
    b.ownership.stop();
    await pass(3_000);
    must(one, 'term').release({ isSettled: false });
    must(other, 'term').release({ isSettled: true });
    expect(a.mine()).toEqual(SHARDS);
    expect(a.terms.slice(4).map(({ takeover }) => takeover)).toEqual(['evicted', 'handed-over']);
  });

  test('that stops while it is given what somebody else may have had does not say that it has finished with it', async () => {
    const { shards, start, pass } = startWorld();
    const added = SHARDS.slice(2);
    for (const shard of added) shards.delete(shard);
    const a = start('a');
    await pass(500);
    for (const shard of added) shards.add(shard);
    const b = start('b');
    await pass(500);
    b.ownership.stop();
    await pass(10_000);
    expect([b.hasEnded(), b.terms.length]).toEqual([true, 0]);
    expect(a.mine()).toEqual(SHARDS);
    expect(a.terms.slice(2).map(({ takeover }) => takeover)).toEqual(['evicted', 'evicted']);
  });

  test('that is stopped while the group waits for one that is gone leaves at once, and is not waited for', async () => {
    const { group, start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    a.machine.isCutOff = true;
    const b = start('b');
    await pass(3_000);
    expect([b.hasEnded(), group.memberIds.length]).toEqual([false, 2]);
    b.ownership.stop();
    await pass(500);
    expect([b.hasEnded(), group.memberIds.length]).toEqual([true, 1]);
  });

  test('that is gone does not keep the first from leaving, nor the next from taking over when it has been evicted', async () => {
    const { group, start, pass } = startWorld();
    const [a, b] = [start('a'), start('b')];
    await pass(10_000);
    expect([a.mine().length, b.mine().length]).toEqual([2, 2]);
    b.machine.isCutOff = true;
    a.ownership.stop();
    await pass(6_000);
    expect([a.hasEnded(), group.memberIds.length]).toEqual([true, 1]);
    const c = start('c');
    await pass(TIMES.sessionTimeoutMs + 1_000);
    expect(group.evictions).toBe(1);
    expect(c.mine()).toEqual(SHARDS);
    expect(new Set(c.terms.map(({ takeover }) => takeover))).toEqual(new Set(['evicted']));
  });

  test('that stops while it waits for one that is gone, in a join of before, leaves as soon', async () => {
    const { start, pass } = startWorld();
    const [a, b] = [start('a'), start('b')];
    await pass(10_000);
    b.machine.isCutOff = true;
    start('c');
    await pass(4_000); // the join that `c` has caused waits for `b`
    a.ownership.stop();
    await pass(6_000);
    expect(a.hasEnded()).toBe(true);
  });

  test('takes over by hand what the first has when that one stops', async () => {
    const { start, group, pass } = startWorld();
    const [a, b] = [start('a'), start('b')];
    await pass(10_000);
    a.ownership.stop();
    await pass(5_000);
    expect([a.hasEnded(), group.evictions]).toEqual([true, 0]);
    expect(b.mine()).toEqual(SHARDS);
    expect(b.terms.slice(-2).map(({ takeover }) => takeover)).toEqual(['handed-over', 'handed-over']);
  });

  test('takes over by hand what the first has also when it hears of it later than the first', async () => {
    const { start, group, pass } = startWorld();
    const [a, b] = [start('a'), start('b')];
    await pass(10_000);
    b.machine.delayMs = [100, 200];
    a.ownership.stop();
    await pass(6_000);
    expect([a.hasEnded(), group.evictions]).toEqual([true, 0]);
    expect(b.mine()).toEqual(SHARDS);
    expect(b.terms.slice(-2).map(({ takeover }) => takeover)).toEqual(['handed-over', 'handed-over']);
  });

  test('does not keep the first from writing for longer than the group takes to gather', async () => {
    const { start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    const b = start('b');
    let paused = 0;
    for (let ms = 0; ms < 10_000; ms += 100) {
      await pass(100);
      if (a.mine().length + b.mine().length === 0) paused++;
    }
    expect(paused).toBe(0);
  });

  test('gets what costs as much as what the first keeps, and more when that changes and is told', async () => {
    const { levels, start, pass } = startWorld();
    for (const shard of SHARDS) levels.set(shard, shard === SHARDS[0] ? 40 : 8);
    const a = start('a');
    await pass(500);
    const b = start('b');
    await pass(10_000);
    expect([a.mine(), b.mine()]).toEqual([[SHARDS[0]], SHARDS.slice(1)]);
    for (const shard of SHARDS) levels.set(shard, 8);
    await pass(10_000);
    expect(b.mine()).toHaveLength(3);
    b.ownership.reweigh();
    await pass(10_000);
    expect([a.mine().length, b.mine().length]).toEqual([2, 2]);
    expect(a.terms.at(-1)?.takeover).toBe('handed-over');
  });

  test('that knows nothing of what its shards cost is asked for none of them while the first does', async () => {
    const { levels, start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    const b = start('b');
    await pass(10_000);
    const [mine, others] = [a.mine(), b.mine()];
    for (const shard of mine) levels.set(shard, 30);
    a.ownership.reweigh();
    await pass(10_000);
    expect([a.mine(), b.mine()]).toEqual([mine, others]);
  });

  test('with another file is given nothing and says so, until the first is gone', async () => {
    const { start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    const b = start('b', { content: 'other' });
    await pass(5_000);
    expect([a.mine().length, b.mine().length]).toEqual([4, 0]);
    expect(b.troubles.map((trouble) => [trouble?.code, trouble?.message])).toEqual([
      [
        'MIRROR_PEERS_DIFFER',
        'group "lockstep-mirror": b runs another file than the others: its content is other, and that of a, which deals out, same',
      ],
    ]);
    a.ownership.stop();
    await pass(5_000);
    expect(b.mine()).toEqual(SHARDS);
    expect(b.troubles.at(-1)).toBeNull();
  });

  test('that cannot be understood gets nothing, nor does anybody else get what it may claim', async () => {
    const { group, start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    group.shown = (metadata) => (must(decodeReport(metadata), 'report').name === 'b' ? Buffer.of(0, 9) : metadata);
    const b = start('b');
    const c = start('c');
    await pass(10_000);
    expect([a.mine().length, b.mine().length, c.mine().length]).toEqual([4, 0, 0]);
    expect(a.troubles.at(-1)).toMatchObject({
      code: 'MIRROR_PEERS_DIFFER',
      message: expect.stringContaining('member-2'),
    });
    expect(b.troubles.at(-1)).toMatchObject({
      message: expect.stringContaining('a, which deals out, does not understand b'),
    });
  });
});

describe('a heartbeat that asks for a rebalance', () => {
  test('does not renew the right to write', async () => {
    const { group, start, pass } = startWorld();
    const a = start('a');
    await pass(500);
    // Somebody has joined and does not come back, so the generation is never complete.
    void group.handle('JoinGroup', { memberId: '' });
    const stranger = {
      protocols: [{ metadata: encodeReport(strangerReport) }],
      sessionTimeoutMs: 60_000,
      rebalanceTimeoutMs: 60_000,
    };
    for (let beats = 0; beats < 20; beats++) group.plannedErrors.push({ api: 'Heartbeat', code: 27 });
    void group.handle('JoinGroup', { ...stranger, memberId: 'member-2' });
    a.machine.delayMs = [6_000, 6_001];
    await pass(FENCE_MS + 1_000);
    expect(a.mine()).toEqual([]);
  });
});

const strangerReport = {
  name: 'stranger',
  content: 'same',
  isTaking: false,
  generation: -1,
  claims: new Set<ShardName>(),
  released: new Set<ShardName>(),
  levels: new Map<ShardName, number>(),
};

describe('what the brokers refuse', () => {
  test.each([
    [23, 'MIRROR_PEERS_DIFFER', 'another version or another program'],
    [26, 'CLUSTER_SETTING_UNFIT', 'session timeout of 20000 ms'],
    [30, 'PERMISSION_DENIED', 'GROUP_AUTHORIZATION_FAILED'],
    [81, 'CLUSTER_SETTING_UNFIT', 'group.max.size'],
    [-1, 'CLUSTER_REFUSED', 'UNKNOWN_SERVER_ERROR'],
  ])('with %i is told as %s, and tried again', async (errorCode, code, text) => {
    const { group, start, pass } = startWorld();
    group.plannedErrors.push({ api: 'JoinGroup', code: errorCode });
    const a = start('a');
    await pass(5_000);
    expect(a.troubles[0]).toMatchObject({ code, message: expect.stringContaining(text), nextStep: expect.any(String) });
    expect(a.troubles).toEqual([a.troubles[0], null]);
    expect(a.mine()).toEqual(SHARDS);
  });
});
