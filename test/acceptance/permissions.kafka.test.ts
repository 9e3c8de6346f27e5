/**
 * A mirror as a user of a secured cluster who holds exactly the documented rights, or one less: what the plan names, what
 * its commands cure when Kafka's own tool runs them, and what a run does without each.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { MirrorPlan, Right } from '#contract/plan.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { runJava } from '#testing/java.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics, describeTopics, runAdmin, type Acl, type AdminStep } from '#testing/topic-admin.ts';
import { writeWorkloads } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { Command } from './command.ts';
import {
  aclOf,
  grant,
  grantLeastRights,
  leastRights,
  leastRightsLink,
  leastRightsUsers,
  mirrorUser,
  planAsMirror,
  planRights,
  type SecurePair,
} from './least-rights.ts';
import { writeLink, type MirrorSpec } from './link-file.ts';
import { LockstepProcess, told } from './lockstep-process.ts';

const cluster = sharedClusters({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
const pair = (): SecurePair => ({ source: cluster('source'), target: cluster('target') });
const SIDES = ['source', 'target'] as const;

/** Beginning above offset 0, and with holes: together they need every right. */
const TOPICS = ['later', 'holes'];

beforeAll(async () => {
  await writeWorkloads(cluster('source').bootstrap, [
    workloads.logStart('later', { records: 2_000, partitions: 1 }),
    workloads.transactional('holes', { records: 400, partitions: 1 }),
  ]);
}, 300_000);

function spec(prefix: string, topics: readonly string[] = TOPICS): MirrorSpec {
  return {
    topics: topics.map((match) => ({ match, to: `${prefix}.${match}` })),
    transactions: 'committed-only',
    refreshMs: 500,
  };
}

const planOf = (name: string, mirror: MirrorSpec): Promise<MirrorPlan> => planAsMirror(pair(), { name, mirror });

const named = ({ side, resourceType, resource, pattern, operation }: Right): string =>
  `${side}: ${operation} on ${resourceType} ${resource} (${pattern})`;

/** The ACLs that a printed command stands for, by its own words. */
function aclsOfCommand(command: string): Acl[] {
  const words = command.split(' ');
  expect(words.slice(0, 2)).toEqual(['kafka-acls.sh', '--bootstrap-server']);
  expect(words[3]).toBe('--add');
  const values = (flag: string): string[] => words.flatMap((word, i) => (word === flag ? [words[i + 1] ?? ''] : []));
  const pattern = values('--resource-pattern-type').includes('prefixed') ? 'prefixed' : 'literal';
  const resources = [
    ...values('--topic').map((name) => ({ resource: 'topic', name }) as const),
    ...values('--group').map((name) => ({ resource: 'group', name }) as const),
    ...values('--transactional-id').map((name) => ({ resource: 'transactional_id', name }) as const),
    ...(words.includes('--cluster') ? [{ resource: 'cluster', name: 'kafka-cluster' } as const] : []),
  ];
  const operations = values('--operation').map((word) => word.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase());
  expect(values('--allow-principal')).toEqual([`User:${mirrorUser}`]);
  return resources.flatMap((each) =>
    operations.map((operation) => ({ user: mirrorUser, operation, ...each, pattern, permission: 'allow', host: '*' })),
  );
}

const lines = (acls: readonly Acl[]): string[] =>
  acls
    .map((acl) => JSON.stringify({ pattern: 'literal', permission: 'allow', host: '*', ...acl }))
    .map(sorted)
    .toSorted();
const sorted = (json: string): string =>
  JSON.stringify(Object.entries(JSON.parse(json) as object).toSorted(([a], [b]) => (a < b ? -1 : 1)));

/** One administrator's session on a side; answers with the ACLs that are held afterwards. */
async function administrate(side: Right['side'], steps: readonly AdminStep[]): Promise<Acl[]> {
  const answers = await runAdmin(cluster(side).bootstrap, [...steps, { describeAcls: 'all' }]);
  return answers.at(-1) as Acl[];
}

async function revokeAll(): Promise<void> {
  for (const side of SIDES) {
    const removeAcls = await administrate(side, []);
    if (removeAcls.length > 0) await administrate(side, [{ removeAcls }]);
  }
}

describe('before anything is granted', () => {
  const bare = spec('bare');

  test('plan and run list every documented right, and write nothing', { timeout: 300_000 }, async () => {
    const file = writeLink(leastRightsLink(pair(), { bare }));
    const refused = await new Command(['run', '-f', file, '--until', 'caught-up']).ended(120_000);
    expect(refused.code, refused.err).toBe(4);
    expect(refused.err).toMatch(/^PERMISSION_DENIED: Mirror "bare" can copy nothing, for lack of rights: /m);
    const shown = await new Command(['plan', '-f', file]).ended(120_000);
    expect(shown.code, shown.err).toBe(5);

    const plan = await planOf('bare', bare);
    expect(plan.access.source).toMatchObject({ principal: `User:${mirrorUser}`, how: 'the user of SCRAM-SHA-512' });
    expect(plan.missingRights.map(named).toSorted()).toEqual(leastRights('bare', bare).map(named).toSorted());
    for (const { command } of plan.grants) {
      expect(shown.out).toContain(`\n    ${command}\n`);
      expect(refused.err).toContain(`\n  ${command}`);
    }
    for (const side of SIDES) expect(await administrate(side, []), 'no right was there').toEqual([]);
  });

  test(
    "Kafka's own tool takes the commands of the plan, and they are what they say",
    { timeout: 300_000 },
    async () => {
      const { grants } = await planOf('bare', bare);
      for (const { side, command } of grants) {
        const [, ...argv] = command.split(' ');
        argv[argv.indexOf('--bootstrap-server') + 1] = must(cluster(side).bootstrap[0], 'address');
        const { code, stderr } = await runJava('org.apache.kafka.tools.AclCommand', argv);
        expect(code, stderr).toBe(0);
      }
      for (const side of SIDES) {
        const told = grants.filter((each) => each.side === side).flatMap(({ command }) => aclsOfCommand(command));
        expect(lines(await administrate(side, []))).toEqual(lines(told));
      }
      expect((await planOf('bare', bare)).missingRights).toEqual([]);
      await revokeAll();
    },
  );
});

/** Nothing of this mirror exists on the target: every documented right is needed. Each is taken away once. */
describe('with one right less', () => {
  const each = spec('each');
  const rights = leastRights('each', each).filter(({ resource }) => !resource.endsWith('holes'));
  /** What gives back what the last test took. */
  let cure: { readonly side: Right['side']; readonly acls: readonly Acl[] } | null = null;

  beforeAll(async () => {
    await grantLeastRights(pair(), { each });
  }, 300_000);

  test.each(rights.map((right) => [named(right), right] as const))(
    'the plan names exactly that right, and its command cures it: %s',
    { timeout: 240_000 },
    async (name, right) => {
      const removeAcls = [aclOf(right)];
      const back = cure;
      if (back && back.side !== right.side) await administrate(back.side, [{ addAcls: back.acls }]);
      const steps: AdminStep[] = back?.side === right.side ? [{ addAcls: back.acls }] : [];
      const held = await administrate(right.side, [...steps, { removeAcls }]);
      expect(lines(held), 'the right is gone').not.toContain(lines(removeAcls)[0]);
      const restored = back?.side === right.side ? lines(back.acls) : [];
      expect(lines(held), 'the one before is back').toEqual(expect.arrayContaining(restored));

      const plan = await planOf('each', each);
      expect(plan.missingRights.map(named)).toEqual([name]);
      expect(plan.grants).toHaveLength(1);
      const acls = aclsOfCommand(must(plan.grants[0], 'grant').command);
      expect(lines(acls)).toEqual(lines(removeAcls));
      cure = { side: right.side, acls };
    },
  );

  test('and with the last one back, none is missing; what is not checked needs the rights of the plan', async () => {
    const back = must(cure, 'cure');
    await administrate(back.side, [{ addAcls: back.acls }]);
    const plan = await planOf('each', each);
    expect(plan.missingRights).toEqual([]);
    expect(plan.notChecked.map(({ what }) => what)).toEqual(planRights('each', each).map(({ without }) => without));
    for (const side of SIDES) {
      const asked = plan.notChecked.filter((_, i) => planRights('each', each)[i]?.side === side);
      await administrate(side, [{ addAcls: asked.flatMap(({ command }) => aclsOfCommand(must(command, 'command'))) }]);
    }
    expect((await planOf('each', each)).notChecked).toEqual([]);
    await revokeAll();
  }, 240_000);
});

test(
  'with exactly the documented rights a mirror lives its whole life: created, aligned, holes, settings, growth, restart',
  { timeout: 400_000 },
  async () => {
    await createTopics(cluster('source').bootstrap, [{ name: 'growing', partitions: 1 }]);
    const topics = [...TOPICS, 'growing'];
    const mirrors = { whole: spec('whole', topics) };
    const rights = await grantLeastRights(pair(), mirrors);
    const file = writeLink(leastRightsLink(pair(), mirrors));
    const run = () => LockstepProcess.run(file, ['--until', 'caught-up']).ended(170_000);
    const first = await run();
    expect(first.code, told(first)).toBe(0);
    expect(first.incidents).toEqual([]);
    expect(first.events.filter(({ event }) => event === 'warning')).toEqual([]);

    await runAdmin(cluster('source').bootstrap, [
      { addPartitions: { topic: 'growing', total: 3 } },
      { setConfigs: { topic: 'later', configs: { 'retention.ms': '98765432100' } } },
    ]);
    const more = { name: 'more', topic: 'growing', partitions: [0, 1, 2], records: 300, valueBytes: 100 };
    await writeWorkloads(cluster('source').bootstrap, [{ topics: [], streams: [more] }]);
    const second = await run();
    expect(second.code, told(second)).toBe(0);
    expect(second.incidents).toEqual([]);
    const [grown, later] = await describeTopics(cluster('target').bootstrap, ['whole.growing', 'whole.later']);
    expect(grown?.partitions).toHaveLength(3);
    expect(later?.configs['retention.ms']).toBe('98765432100');
    expect(later?.partitions.map(({ earliest }) => earliest)).toEqual([1001]);
    await expectIdentical({
      source: cluster('source').bootstrap,
      target: cluster('target').bootstrap,
      topics: topics.map((topic) => ({ source: topic, target: `whole.${topic}` })),
    });
    for (const side of SIDES) {
      const documented = rights.filter((right) => right.side === side).map(aclOf);
      const held = await administrate(side, []);
      expect(lines(held), 'nothing else was held').toEqual([...new Set(lines(documented))]);
    }
    await revokeAll();
  },
);

/** One topic for each right that can be missing on a topic, in one mirror that holds all the others. */
const LACKS = [
  { operation: 'READ', side: 'source', severity: 'error', partition: null, words: /hidden from us.*READ on the topic/ },
  { operation: 'DESCRIBE_CONFIGS', side: 'source', severity: 'warning', partition: null, words: /DESCRIBE_CONFIGS/ },
  { operation: 'CREATE', side: 'target', severity: 'error', partition: null, words: /CREATE on the topic/ },
  { operation: 'READ', side: 'target', severity: 'error', partition: 0, words: /READ on the topic/ },
  { operation: 'WRITE', side: 'target', severity: 'error', partition: 0, words: /WRITE on the topic/ },
  { operation: 'ALTER_CONFIGS', side: 'target', severity: 'warning', partition: null, words: /CONFIGS on the topic/ },
  { operation: 'DELETE', side: 'target', severity: 'error', partition: 0, words: /DELETE on the topic/ },
] as const;

test(
  'a mirror without one right of each topic, and without ALTER on the cluster, stops exactly there and goes on when they are granted',
  { timeout: 500_000 },
  async () => {
    const nameOf = ({ side, operation }: (typeof LACKS)[number]): string =>
      `no-${side}-${operation.toLowerCase().replace('_', '-')}`;
    const topics = LACKS.map(nameOf);
    await writeWorkloads(
      cluster('source').bootstrap,
      topics.map((topic) => workloads.logStart(topic, { records: 1_500, partitions: 1 })),
    );
    const mirrors = { lacking: spec('lacking', ['later', 'holes', ...topics]) };
    const rights = leastRights('lacking', must(mirrors.lacking, 'mirror'));
    const lacking = LACKS.map((lack) =>
      must(
        rights.find(({ side, operation, resource }) => {
          const name = lack.side === 'source' ? nameOf(lack) : `lacking.${nameOf(lack)}`;
          return side === lack.side && operation === lack.operation && resource === name;
        }),
        nameOf(lack),
      ),
    );
    const markers = must(
      rights.find(({ resourceType }) => resourceType === 'cluster'),
      'right to write markers',
    );
    const withheld = [...lacking, markers];
    await grant(
      pair(),
      rights.filter((right) => !withheld.includes(right)),
    );
    const file = writeLink(leastRightsLink(pair(), mirrors));
    const mirror = LockstepProcess.run(file);
    /** Of every severity, but for those of whole clusters: a slow machine alone may bring one about. */
    const incidents = () => mirror.events.flatMap((event) => (event.event === 'incident' ? [event.incident] : []));
    const ofTopics = () => incidents().filter(({ topic }) => topic !== null);
    const ends = () =>
      mirror.events.filter((event) => event.event === 'incident-ended' && event.incident.topic !== null).length;
    try {
      const without = () => [...topics, 'holes'].filter((name) => !incidents().some(({ topic }) => topic === name));
      await waitUntil(
        () => without().length === 0,
        () => `an incident of ${without().join(', ')}\n${mirror.describe()}`,
        {
          timeoutMs: 120_000,
        },
      );
      const warned = mirror.events.flatMap((event) => (event.event === 'warning' ? [event.message] : [])).join('\n');
      for (const name of [...topics, 'holes'])
        expect(incidents().filter(({ topic }) => topic === name).length, `incidents of ${name}`).toBe(1);
      for (const { what } of withheld.map((right) => ({
        what: right.resourceType === 'cluster' ? 'ALTER on the cluster' : right.resource,
      })))
        expect(warned, 'the run said it before its first write').toContain(what);
      for (const lack of LACKS) {
        const incident = must(
          incidents().find(({ topic }) => topic === nameOf(lack)),
          nameOf(lack),
        );
        const { severity, partition } = lack;
        expect(incident, mirror.describe()).toMatchObject({
          code: 'PERMISSION_DENIED',
          severity,
          partition,
        });
        expect(`${incident.cause} ${incident.nextStep}`).toMatch(lack.words);
      }
      const hole = must(
        incidents().find(({ topic }) => topic === 'holes'),
        'incident of holes',
      );
      expect(hole).toMatchObject({ code: 'SHARD_HOLES_NOT_ALLOWED', partition: 0 });
      expect(hole.offsets?.from, 'at its first hole').toBeGreaterThan(0);

      await grant(pair(), withheld);
      await mirror.until(() => ends() === withheld.length, 'each incident has ended', 180_000);
      expect(ofTopics()).toHaveLength(withheld.length);
      await mirror.until(() => isCaughtUp(mirror, topics.length + 2), 'all is copied', 120_000);
      await mirror.interrupt();
    } finally {
      await mirror.kill();
    }
    await expectIdentical({
      source: cluster('source').bootstrap,
      target: cluster('target').bootstrap,
      topics: ['later', 'holes', ...topics].map((topic) => ({ source: topic, target: `lacking.${topic}` })),
    });
  },
);

function isCaughtUp(mirror: LockstepProcess, partitions: number): boolean {
  const shards = mirror.status('lacking')?.shards ?? [];
  return shards.length === partitions && shards.every(({ lagRecords }) => lagRecords === 0);
}
