/** What a process says of the group of its mirror, and to which partitions it gives their terms. */
import { describe, expect, test } from 'vitest';
import { mirrorSchema } from '#contract/resources.ts';
import type { Incident, RunEvent } from '#contract/status.ts';
import type { Term } from '#jobs/ownership.ts';
import { shardName, type ShardName } from '#jobs/shard-ranges.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { PlayedGroup, PlayedMachine } from '#testing/played-group.ts';
import { createRandom } from '#util/random.ts';
import { Sharing } from './sharing.ts';

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const GROUP_AUTHORIZATION_FAILED = 30;

class Partition {
  readonly topic = 'orders';
  readonly partition: number;
  isHeld = false;
  bytesCopied = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  hold(term: Term): Promise<void> {
    this.isHeld = true;
    term.lost.addEventListener('abort', () => {
      this.isHeld = false;
      term.release({ isSettled: true });
    });
    return Promise.resolve();
  }
}

function startWorld() {
  const clock = new ManualClock();
  const group = new PlayedGroup(clock);
  const processes: Sharing[] = [];
  const start = (name: string, options: { partitions?: number; refreshMs?: number } = {}) => {
    const machine = new PlayedMachine(clock, group, createRandom(7));
    const events: RunEvent[] = [];
    const warnings: string[] = [];
    const partitions = new Map<ShardName, Partition>();
    const add = (count: number): void => {
      for (let i = partitions.size; i < count; i++) partitions.set(shardName(TOPIC_ID, i), new Partition(i));
    };
    add(options.partitions ?? 4);
    const sharing = new Sharing({
      resource: mirrorSchema.parse({
        apiVersion: 'lockstep/v1',
        kind: 'Mirror',
        metadata: { name: 'east-to-west' },
        spec: {
          source: 'east',
          target: 'west',
          topics: [{ match: 'orders' }],
          ...(options.refreshMs ? { refreshMs: options.refreshMs } : {}),
        },
      }),
      mirrorId: 'mirror',
      target: machine.cluster,
      clock: machine.clock,
      random: createRandom(8),
      process: name,
      partitions,
      grant: 'kafka-acls.sh --group',
      onEvent: (event) => events.push(event),
      onWarning: (code, message) => warnings.push(`${code} ${message}`),
      onBug: (error) => {
        throw error;
      },
    });
    processes.push(sharing);
    void sharing.run();
    const shares = (): string[] =>
      events.flatMap((event) =>
        event.event === 'shares'
          ? [`${event.held.map(({ partitions: each }) => each.join()).join(' ')} of ${event.of}`]
          : [],
      );
    const incidents = (): Incident[] => events.flatMap((each) => (each.event === 'incident' ? [each.incident] : []));
    const held = (): number => [...partitions.values()].filter(({ isHeld }) => isHeld).length;
    return { machine, sharing, events, warnings, shares, incidents, held, add, partitions };
  };
  /** As the mirror does: `tell` each second. */
  const pass = async (ms: number): Promise<void> => {
    await settle();
    for (let passed = 0; passed < ms; passed += 1_000) {
      await clock.advance(Math.min(1_000, ms - passed));
      for (const sharing of processes) sharing.tell();
    }
  };
  return { group, start, pass };
}

describe('the processes of a mirror', () => {
  test('one alone says nothing; with a second one each says what it copies, and so does the first when it is alone again', async () => {
    const { start, pass } = startWorld();
    const a = start('a');
    await pass(5_000);
    expect([a.held(), a.shares(), a.warnings, a.sharing.hasPeers]).toEqual([4, [], [], false]);
    const b = start('b');
    await pass(8_000);
    expect([a.held(), b.held()]).toEqual([2, 2]);
    expect([a.shares(), b.shares().at(-1)]).toEqual([['0,1 of 4'], '2,3 of 4']);
    expect([a.sharing.hasPeers, b.sharing.hasPeers]).toEqual([true, true]);
    b.sharing.stop();
    await pass(6_000);
    expect([a.shares().at(-1), a.sharing.hasPeers]).toEqual(['0,1,2,3 of 4', false]);
    expect([...a.incidents(), ...b.incidents()]).toEqual([]);
  });

  test('divide anew by what was measured, once, some minutes later, and never what costs the same', async () => {
    const { group, start, pass } = startWorld();
    const [a, b] = [start('a', { partitions: 8 }), start('b', { partitions: 8 })];
    const copy = async (seconds: number, rateOf: (partition: number) => number): Promise<void> => {
      for (let second = 0; second < seconds; second++) {
        for (const { partitions } of [a, b])
          for (const each of partitions.values()) if (each.isHeld) each.bytesCopied += rateOf(each.partition);
        await pass(1_000);
      }
    };
    await copy(900, () => 4_000_000);
    expect([a.held(), b.held()]).toEqual([4, 4]);
    await copy(900, (partition) => (partition === 0 ? 60_000_000 : 4_000_000));
    expect(new Set([a.held(), b.held()])).toEqual(new Set([1, 7]));
    const { generation } = group;
    await copy(1_800, (partition) => (partition === 0 ? 60_000_000 : 4_000_000));
    expect(group.generation - generation).toBeLessThanOrEqual(1); // what was told while it still grew
  });

  test('a partition that another has seen first is begun when it is seen here', async () => {
    const { start, pass } = startWorld();
    start('a', { partitions: 4 });
    await pass(2_000);
    const b = start('b', { partitions: 2 });
    await pass(8_000);
    const before = b.held();
    b.add(4);
    b.sharing.changed();
    await pass(2_000);
    expect(before).toBeLessThan(2);
    expect(b.held()).toBe(2);
  });

  test('one that joins while a dead one is waited for says so once', async () => {
    const { start, pass } = startWorld();
    const a = start('a');
    await pass(3_000);
    a.machine.isCutOff = true; // and never heard again
    const b = start('b');
    await pass(4_000);
    expect(b.warnings).toEqual([]);
    await pass(30_000);
    expect(b.warnings).toEqual([expect.stringMatching(/^SHARD_WAITING .*at most 20 s/)]);
    expect(b.held()).toBe(4);
  });

  test('one with another file is told so, has no part, and has one as soon as the others are gone', async () => {
    const { start, pass } = startWorld();
    const a = start('a');
    await pass(2_000);
    const b = start('b', { refreshMs: 4_000 });
    await pass(8_000);
    expect([a.held(), b.held()]).toEqual([4, 0]);
    expect(b.incidents()).toMatchObject([{ code: 'MIRROR_PEERS_DIFFER', topic: null, severity: 'error' }]);
    expect([b.sharing.hasPeers, b.sharing.incident?.endsByItself]).toEqual([false, true]);
    a.sharing.stop();
    await pass(8_000);
    expect([b.held(), b.sharing.incident]).toEqual([4, null]);
    expect(b.events.filter(({ event }) => event === 'incident-ended')).toHaveLength(1);
  });

  test('one without the right to the group says which command grants it, once, and goes on with it', async () => {
    const { group, start, pass } = startWorld();
    const a = start('a');
    await pass(2_000);
    for (let i = 0; i < 10; i++) group.plannedErrors.push({ api: 'Heartbeat', code: GROUP_AUTHORIZATION_FAILED });
    await pass(12_000);
    expect(a.incidents()).toMatchObject([
      { code: 'PERMISSION_DENIED', nextStep: expect.stringContaining('kafka-acls') },
    ]);
    group.plannedErrors.length = 0;
    await pass(20_000);
    expect([a.sharing.incident, a.held(), a.incidents().length]).toEqual([null, 4, 1]);
  });

  test('another cluster in the place of the target is a warning: its group is not joined, and each partition tells', async () => {
    const { group, start, pass } = startWorld();
    const a = start('a');
    await pass(2_000);
    const { generation } = group;
    a.machine.isReplaced = true;
    await pass(10_000);
    expect([a.incidents(), a.warnings, a.held()]).toEqual([[], [expect.stringMatching(/^CLUSTER_ID_MISMATCH /)], 4]);
    a.machine.isReplaced = false;
    await pass(5_000);
    expect([a.held(), group.generation, a.sharing.incident]).toEqual([4, generation, null]);
  });

  test('a group that does not answer is a warning, since it passes', async () => {
    const { start, pass } = startWorld();
    const a = start('a');
    await pass(2_000);
    a.machine.isCutOff = true;
    await pass(60_000);
    expect([a.incidents(), a.warnings.length > 0]).toEqual([[], true]);
    a.machine.isCutOff = false;
    await pass(30_000);
    expect([a.held(), a.sharing.incident]).toEqual([4, null]);
  });
});
