/**
 * Offsets of consumer groups, held to by Kafka's own clients: a consumer that moves to the target reads on with exactly the
 * next record, at whatever lag, and after a rewind at the source too. Nobody is moved who is there already.
 */
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GroupMember } from '#kafka/group-member.ts';
import { committedBy, runGroups, type CommittedPlaces, type Continued, type Places } from '#testing/group-client.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { describeTopics } from '#testing/topic-admin.ts';
import { partitionsUpTo, writeWorkloads } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import type { RunEvent } from '#contract/status.ts';
import { writeLink, type MirrorSpec } from './link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told } from './lockstep-process.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const cluster = sharedClusters({ source: {}, target: {} });
const sides = (): { source: readonly string[]; target: readonly string[] } => ({
  source: cluster('source').bootstrap,
  target: cluster('target').bootstrap,
});

const PLAIN = 'groups.plain';
const TOPICS = [PLAIN, 'groups.transactional', 'groups.compacted', 'groups.start'];
/** Of TOPICS together. */
const PARTITIONS = 18;
const EMPTY = 'groups.empty';
const SHARES = [1, 10, 50, 90, 100];
const PROTOCOLS = ['classic', 'consumer'] as const;
const GROUPS = PROTOCOLS.flatMap((protocol) =>
  SHARES.map((share) => ({ id: `${protocol}-${share}`, protocol, share })),
);
const IDS = GROUPS.map(({ id }) => id);

const mirror: MirrorSpec = {
  topics: [{ match: '/^groups\\.(.+)$/', to: 'copy.$1' }],
  sync: { groups: { match: ['/.*/'], exclude: ['/^private-/'], everyMs: 500, deleted: 'delete' } },
};
const file = (): string => writeLink({ ...sides(), mirrors: { moving: mirror } });

/** First and last offset of each partition of the source. */
let ranges: Readonly<Record<string, readonly { readonly from: number; readonly to: number }[]>> = {};

beforeAll(async () => {
  process.stdout.write(`groups: seed ${seed}\n`);
  const { source } = sides();
  const plain = { name: 'plain', topic: PLAIN, partitions: partitionsUpTo(6), records: 3_000, codec: 'lz4' as const };
  await writeWorkloads(
    source,
    [
      {
        topics: [
          { name: PLAIN, partitions: 6 },
          { name: EMPTY, partitions: 1 },
        ],
        streams: [plain],
      },
      workloads.transactional('groups.transactional', { records: 3_000, partitions: 4 }),
      workloads.compacted('groups.compacted', { records: 12_000, partitions: 4 }),
      workloads.logStart('groups.start', { records: 8_000, partitions: 4 }),
    ],
    { seed },
  );
  const described = await describeTopics(source, TOPICS);
  ranges = Object.fromEntries(
    described.map(({ name, partitions }) => [
      name,
      partitions.map(({ earliest, lastStable }) => ({ from: earliest, to: lastStable })),
    ]),
  );
}, 240_000);

/** So many percent of each partition of the topics. */
function placesAt(share: number, topics = TOPICS): Places {
  return Object.fromEntries(
    topics.map((topic) => [
      topic,
      Object.fromEntries(
        must(ranges[topic], 'ranges of a topic').map(({ from, to }, partition) => [
          partition,
          from + Math.floor(((to - from) * share) / 100),
        ]),
      ),
    ]),
  );
}

const renamed = <T>(places: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(places).map(([key, value]) => [key.replace(/^groups\./, 'copy.'), value]));
const offsetsOf = (places: CommittedPlaces | undefined): Record<string, number> =>
  Object.fromEntries(Object.entries(places ?? {}).map(([key, [offset]]) => [key, offset]));

/** What each group reads next, to the end of every partition. */
async function continued(
  bootstrap: readonly string[],
  topics: readonly string[],
  { mapped = false } = {},
): Promise<Continued[]> {
  const steps = GROUPS.map(({ id, protocol }) => ({ consume: { group: id, protocol, topics, mapped } }));
  return (await runGroups(bootstrap, steps)) as Continued[];
}

async function expectSameContinuation(): Promise<number> {
  const { source, target } = sides();
  const [onSource, onTarget] = await Promise.all([
    continued(source, TOPICS),
    continued(
      target,
      TOPICS.map((topic) => topic.replace(/^groups\./, 'copy.')),
    ),
  ]);
  let places = 0;
  for (const [i, { id }] of GROUPS.entries()) {
    expect(onTarget[i], id).toEqual(renamed(must(onSource[i], 'answer')));
    places += Object.keys(must(onSource[i], 'answer')).length;
  }
  return places;
}

/** Commits of every group: of classic ones by an administrator, of the others by a member of their own. */
async function commitAt(shareOf: (share: number) => number): Promise<void> {
  await runGroups(
    sides().source,
    GROUPS.map(({ id, protocol, share }) =>
      protocol === 'classic'
        ? { commit: { [id]: placesAt(shareOf(share)) }, metadata: `at ${share}` }
        : { consume: { group: id, protocol, topics: TOPICS, commit: placesAt(shareOf(share)) } },
    ),
  );
}

test('consumers read on at the target with exactly the next record, at any lag, and after a rewind too', async () => {
  const { source, target } = sides();
  await commitAt((share) => share);
  await runGroups(source, [
    { commit: { 'at-empty': { [EMPTY]: { 0: 0 } }, 'private-x': placesAt(50), 'lockstep-x': placesAt(50) } },
  ]);

  const first = await runUntilCaughtUp(file());
  expect(first.code, told(first)).toBe(0);
  const places = await expectSameContinuation();
  const committed = await committedBy(target, [...IDS, 'at-empty', 'private-x', 'lockstep-x']);
  expect(committed['classic-50']).toMatchObject({ 'copy.plain/0': [expect.any(Number), -1, 'at 50'] });
  expect(offsetsOf(committed['at-empty'])).toEqual({ 'copy.empty/0': 0 });
  expect([committed['private-x'], committed['lockstep-x']]).toEqual([{}, {}]);
  expect(places, 'every group has a place on every partition').toBe(GROUPS.length * PARTITIONS);
  const starts = must((await describeTopics(target, ['copy.start']))[0], 'topic with a filled log start').partitions;
  for (const { partition, earliest } of starts) {
    expect(earliest).toBeGreaterThan(1_000);
    expect(must(committed['classic-1']?.[`copy.start/${partition}`], 'place')[0]).toBeGreaterThanOrEqual(earliest);
  }

  await commitAt((share) => 100 - share); // 90 % back to 10, 1 % forward to 99
  const second = await runUntilCaughtUp(file());
  expect(second.code, told(second)).toBe(0);
  expect(await expectSameContinuation()).toBe(places);
}, 240_000);

test('by a map they read on with exactly the next record too, after a rewind as well', async () => {
  const { source, target } = sides();
  const dense = TOPICS.map((topic) => topic.replace(/^groups\./, 'dense.'));
  const topics = [{ match: '/^groups\\.(.+)$/', to: 'dense.$1' }];
  const mapped = writeLink({ ...sides(), mirrors: { mapped: { ...mirror, topics, offsets: 'mapped' } } });
  for (const shareOf of [(share: number) => share, (share: number) => 100 - share]) {
    await commitAt(shareOf);
    const run = await runUntilCaughtUp(mapped);
    expect(run.code, told(run)).toBe(0);
    const [onSource, onTarget] = await Promise.all([
      continued(source, TOPICS, { mapped: true }),
      continued(target, dense, { mapped: true }),
    ]);
    const rest = (each: Continued | undefined): unknown =>
      Object.entries(each ?? {}).map(([key, [, , records, digest]]) => [key.replace(/^\w+\./, ''), records, digest]);
    for (const [i, { id }] of GROUPS.entries()) expect(rest(onTarget[i]), id).toEqual(rest(onSource[i]));
    expect(rest(onSource[0])).toHaveLength(PARTITIONS);
    const places = await committedBy(target, IDS);
    const moved = Object.entries(places['classic-50'] ?? {}).filter(
      ([key, [offset]]) =>
        key.startsWith('dense.') && offset !== places['classic-50']?.[key.replace('dense.', 'copy.')]?.[0],
    );
    expect(moved.length, 'the map is not the identity').toBeGreaterThan(3);
  }
}, 240_000);

// ---- a mirror that goes on

const running: { close(): unknown }[] = [];
afterAll(async () => {
  for (const each of running) await each.close();
});

type GroupsEvent = Extract<RunEvent, { event: 'groups' }>;
const groupEvents = (run: LockstepProcess): GroupsEvent[] =>
  run.events.flatMap((event) => (event.event === 'groups' ? [event] : []));
const whyLeft = (run: LockstepProcess, group: string): string | undefined =>
  groupEvents(run)
    .at(-1)
    ?.leftAlone.find((left) => left.group === group)?.why;

test('an active group of the target is left alone until it is empty; a deleted one is deleted where nobody uses it', async () => {
  const { source, target } = sides();
  const at = (share: number): Record<string, number> =>
    Object.fromEntries(
      Object.entries(placesAt(share, [PLAIN])[PLAIN] ?? {}).map(([partition, offset]) => [
        `copy.plain/${partition}`,
        offset,
      ]),
    );
  const onTarget = async (group: string): Promise<Record<string, number>> =>
    offsetsOf((await committedBy(target, [group]))[group]);
  const admin = openCluster(target);
  running.push(admin);
  await admin.connect();
  const options = { protocolType: 'consumer', protocolName: 'range', sessionTimeoutMs: 30_000 };
  const member = new GroupMember(admin, { groupId: 'moving', ...options });
  running.push(member);
  const joined = await member.join(Buffer.alloc(0));
  expect(joined.kind).toBe('accepted');
  await member.sync(new Map([[member.memberId, Buffer.alloc(0)]]));

  await runGroups(source, [
    { commit: { moving: placesAt(50, [PLAIN]), leaving: placesAt(50, [PLAIN]), kept: placesAt(50, [PLAIN]) } },
  ]);
  const run = LockstepProcess.run(file());
  running.push({ close: () => run.kill() });
  await run.until(() => whyLeft(run, 'moving') !== undefined, 'the active group is named');
  expect(whyLeft(run, 'moving')).toContain('has members');
  await run.until(
    async () => isDeepStrictEqual(await onTarget('leaving'), at(50)),
    'the group that nobody reads with is there',
  );
  expect(await onTarget('moving')).toEqual({});

  await member.leave();
  await run.until(
    async () => (await onTarget('moving'))['copy.plain/0'] === at(50)['copy.plain/0'],
    'the group is moved',
  );
  expect(await onTarget('moving')).toEqual(at(50));
  await run.until(() => whyLeft(run, 'moving') === undefined, 'nothing is left alone any more');

  await runGroups(source, [{ commit: { moving: placesAt(10, [PLAIN]) } }]);
  await run.until(
    async () => (await onTarget('moving'))['copy.plain/0'] === at(10)['copy.plain/0'],
    'the rewind is followed',
  );

  // Consumers of the target have gone on: they are not sent back, and their group is not deleted under them.
  await runGroups(target, [{ commit: { kept: { 'copy.plain': placesAt(90, [PLAIN])[PLAIN] ?? {} } } }]);
  await run.until(() => whyLeft(run, 'kept')?.includes('somebody else') === true, 'the group that moved on is named');
  await runGroups(source, [{ delete: ['leaving', 'kept'] }]);
  await run.until(() => groupEvents(run).some(({ deleted }) => deleted.includes('leaving')), 'the group is deleted');
  expect(await onTarget('leaving')).toEqual({});
  expect(await onTarget('kept')).toEqual(at(90));
  expect(groupEvents(run).flatMap(({ deleted }) => deleted)).toEqual(['leaving']);

  const ended = await run.interrupt();
  expect(ended.incidents, told(ended)).toEqual([]);
}, 180_000);

test("MirrorMaker 2's client finds the places and the source", async () => {
  const { source, target } = sides();
  const topics = [{ match: PLAIN, to: 'east.plain' }];
  const sync = { groups: { match: ['told'], checkpoints: true } };
  const told = writeLink({ ...sides(), mirrors: { told: { ...mirror, topics, sync } } });
  for (const share of [70, 30]) {
    await runGroups(source, [{ commit: { told: placesAt(share, [PLAIN]) }, metadata: 'text' }]);
    const run = await runUntilCaughtUp(told);
    expect(run.code, run.stderr).toBe(0);
    const [answer] = await runGroups(target, [{ translate: { source: 'east', group: 'told' } }]);
    const places = Object.entries(placesAt(share, [PLAIN])[PLAIN] ?? {}).map(([partition, offset]) => [
      `east.plain/${partition}`,
      [offset, 'text'],
    ]);
    expect(answer).toEqual({ places: Object.fromEntries(places), upstream: ['east'], hops: 1 });
  }
}, 120_000);

test('share groups start where they start at the source', async () => {
  const { source, target } = sides();
  await runGroups(source, [
    { share: { group: 'shared', topics: [PLAIN] } },
    { setShareOffsets: { shared: placesAt(50, [PLAIN]) } },
  ]);
  const run = await runUntilCaughtUp(file());
  expect(run.code, told(run)).toBe(0);
  const [onSource, onTarget] = await Promise.all(
    [source, target].map(
      async (bootstrap) =>
        ((await runGroups(bootstrap, [{ shareOffsets: ['shared'] }]))[0] as Record<string, Record<string, number>>)[
          'shared'
        ],
    ),
  );
  expect(onSource).not.toEqual({});
  expect(onTarget, told(run)).toEqual(renamed(must(onSource, 'starts')));
}, 120_000);
