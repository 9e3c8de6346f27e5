/** One member against a played coordinator. */
import { describe, expect, test } from 'vitest';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { PlayedGroup, PlayedMachine } from '#testing/played-group.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { GroupMember, type GroupAnswer, type JoinedGroup } from './group-member.ts';

const SESSION_MS = 20_000;
const NOT_COORDINATOR = 16;
const LOADING = 14;

function start() {
  const clock = new ManualClock();
  const group = new PlayedGroup(clock);
  /** What was begun comes first, then time passes. */
  const pass = async (ms: number): Promise<void> => {
    await settle();
    await clock.advance(ms);
  };
  const one = open(clock, group, 1);
  /** What comes of `work` while time passes. */
  const whenDone = async <T>(work: Promise<T>, ms = 1_000): Promise<T> => {
    const outcome = Promise.resolve(work).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await pass(ms);
    const ended = await Promise.race([outcome, Promise.resolve(null)]);
    if (!ended) throw new Error(`nothing within ${ms} ms`);
    if ('error' in ended) throw ended.error;
    return ended.value;
  };
  const inGroup = async (): Promise<void> => {
    await whenDone(one.member.join(Buffer.from('a')));
    await whenDone(one.member.sync(new Map([[one.member.memberId, Buffer.from('mine')]])));
  };
  return { clock, pass, group, ...one, whenDone, inGroup, open: (seed: number) => open(clock, group, seed) };
}

function open(clock: ManualClock, group: PlayedGroup, seed: number) {
  const machine = new PlayedMachine(clock, group, createRandom(seed));
  const options = { groupId: 'g', protocolType: 'lockstep', protocolName: 'p', sessionTimeoutMs: SESSION_MS };
  return { machine, member: new GroupMember(machine.cluster, options) };
}

function accepted<T>(answer: GroupAnswer<T>): T {
  if (answer.kind !== 'accepted') throw new Error(answer.kind);
  return answer.value;
}

describe('joining', () => {
  test('gets a member id first, then leads, and is given what it has dealt out', async () => {
    const { member, whenDone } = start();
    const joined = accepted(await whenDone(member.join(Buffer.from('metadata'))));
    expect([joined.generation, member.memberId]).toEqual([1, 'member-1']);
    expect([...must(joined.members, 'members')]).toEqual([['member-1', Buffer.from('metadata')]]);

    const synced = await whenDone(member.sync(new Map([['member-1', Buffer.from('mine')]])));
    expect(accepted(synced).toString()).toBe('mine');
  });

  test('of a second one makes the first join again, and only the leader sees the members', async () => {
    const { member, whenDone, inGroup, open: another, pass } = start();
    await inGroup();
    const second = another(2).member;
    const joining = second.join(Buffer.from('b'));
    await pass(1_000);
    expect(await whenDone(member.heartbeat())).toEqual({ kind: 'rebalance' });
    const both = Promise.all([member.join(Buffer.from('a2')), joining]);
    const [first, other] = (await whenDone(both)) as [GroupAnswer<JoinedGroup>, GroupAnswer<JoinedGroup>];
    expect([...must(accepted(first).members, 'members').values()].map(String)).toEqual(['a2', 'b']);
    expect(accepted(other)).toEqual({ generation: 2, members: null });
  });

  test('follows a coordinator that moves or loads', async () => {
    const { member, group, whenDone } = start();
    group.plannedErrors.push({ api: 'JoinGroup', code: NOT_COORDINATOR }, { api: 'JoinGroup', code: LOADING });
    expect(accepted(await whenDone(member.join(Buffer.alloc(0)), 5_000)).generation).toBe(1);
  });

  test('that has no answer ends with the request, and at once when it is closed', async () => {
    const { member, machine, pass } = start();
    machine.isCutOff = true;
    const outcome = member.join(Buffer.alloc(0)).catch((error: unknown) => error);
    await pass(60_000);
    expect(await outcome).toMatchObject({ name: 'ConnectionError' });

    const waiting = start();
    await waiting.inGroup();
    const second = waiting.open(2).member;
    const joining = second.join(Buffer.alloc(0)).catch((error: unknown) => error);
    await waiting.pass(1_000);
    second.close();
    await waiting.pass(0);
    expect(await joining).toMatchObject({ name: 'ConnectionError' });
  });

  test.each([23, 26, 30, 81])('is refused with %i as an error of the broker', async (code) => {
    const { member, group, whenDone } = start();
    group.plannedErrors.push({ api: 'JoinGroup', code });
    await expect(whenDone(member.join(Buffer.alloc(0)))).rejects.toMatchObject({
      name: 'BrokerError',
      code,
      cluster: 'west',
    });
  });
});

describe('a member', () => {
  test('knows when a heartbeat that was accepted had been sent', async () => {
    const { member, machine, clock, inGroup, whenDone } = start();
    await inGroup();
    machine.delayMs = [400, 401];
    const sentMs = clock.monotonic();
    expect(await whenDone(member.heartbeat())).toEqual({
      kind: 'accepted',
      value: null,
      sentAt: { monotonicMs: sentMs, wallMs: clock.now() - 1_000 },
    });
  });

  test('that follows a coordinator notes the request that it answered', async () => {
    const { member, group, clock, inGroup, whenDone } = start();
    await inGroup();
    const before = clock.monotonic();
    group.plannedErrors.push({ api: 'Heartbeat', code: NOT_COORDINATOR });
    const answer = await whenDone(member.heartbeat());
    expect(answer).toMatchObject({ kind: 'accepted' });
    expect(answer.kind === 'accepted' && answer.sentAt.monotonicMs).toBeGreaterThan(before);
  });

  test.each([
    [22, 'rebalance'],
    [27, 'rebalance'],
    [25, 'lost'],
    [82, 'lost'],
  ])('takes %i for %s', async (code, kind) => {
    const { member, group, inGroup, whenDone } = start();
    await inGroup();
    group.plannedErrors.push({ api: 'Heartbeat', code });
    expect(await whenDone(member.heartbeat())).toEqual({ kind });
    expect(member.memberId).toBe(kind === 'lost' ? '' : 'member-1');
  });

  test('that was thrown out becomes a new one', async () => {
    const { member, inGroup, whenDone, pass } = start();
    await inGroup();
    await pass(SESSION_MS);
    expect(await whenDone(member.heartbeat())).toEqual({ kind: 'lost' });
    await inGroup();
    expect(member.memberId).toBe('member-2');
  });

  test('that leaves is gone at once, and leaving twice is the same', async () => {
    const { member, group, inGroup, whenDone } = start();
    await inGroup();
    group.plannedErrors.push({ api: 'LeaveGroup', code: NOT_COORDINATOR });
    await whenDone(member.leave());
    await whenDone(member.leave());
    expect([group.memberIds, member.memberId, group.evictions]).toEqual([[], '', 0]);
  });
});
