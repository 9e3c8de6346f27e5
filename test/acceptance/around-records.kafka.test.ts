/**
 * What stands around the records, on two clusters with an authorizer and one without: ACLs, client quotas, SCRAM users,
 * settings and partitions, through the command itself as a user with exactly the documented rights. What the target has
 * afterwards is read by Kafka's own admin client, and what users may do there is asked of the brokers as those users.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseDocuments } from '#contract/documents.ts';
import type { MirrorPlan } from '#contract/plan.ts';
import type { RunEvent } from '#contract/status.ts';
import { createSecurity } from '#jobs/cluster-secrets.ts';
import { Cluster } from '#kafka/cluster.ts';
import { FramePool } from '#kafka/frame.ts';
import { topicOperations, type Operations } from '#kafka/permissions.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { describeTopics, runAdmin, type Acl, type AdminStep } from '#testing/topic-admin.ts';
import { writeStreams } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { systemHost } from '#util/host.ts';
import { Command } from './command.ts';
import {
  grant,
  heldAcls,
  leastRights,
  leastRightsLink,
  leastRightsUsers,
  mirrorUser,
  type SecurePair,
} from './least-rights.ts';
import { writeLink, type MirrorSpec } from './link-file.ts';
import { LockstepProcess, told } from './lockstep-process.ts';

const PASSWORD = 'of a user of the source';
const USERS = ['alice', 'bob', 'carol'];
const cluster = sharedClusters({
  source: {
    secure: { users: { ...leastRightsUsers.users, ...Object.fromEntries(USERS.map((user) => [user, PASSWORD])) } },
  },
  target: { secure: leastRightsUsers },
});
const pair = (): SecurePair => ({ source: cluster('source'), target: cluster('target') });

const TOPICS = ['shop.orders', 'shop.payments', 'shop.secret'];
const copyOf = (topic: string): string => topic.replace(/^shop\./, 'dr.');
const spec: MirrorSpec = {
  topics: [{ match: '/^shop\\.(.+)$/', to: 'dr.$1' }],
  refreshMs: 500,
  sync: { acls: true, quotas: true, users: true },
};
const acl = (given: Partial<Acl>): Acl => ({
  user: 'alice',
  operation: 'read',
  resource: 'topic',
  name: 'shop.orders',
  pattern: 'literal',
  permission: 'allow',
  host: '*',
  ...given,
});
const OF_SOURCE: readonly Acl[] = [
  acl({}),
  acl({ name: 'shop.pay', pattern: 'prefixed' }),
  acl({ operation: 'write' }),
  acl({ user: 'bob', operation: 'all', name: 'shop.payments' }),
  acl({ user: 'carol', permission: 'deny', operation: 'describe', name: 'shop.payments' }),
  acl({ user: '*', operation: 'describe', name: '*' }),
  acl({ user: '*', operation: 'read', permission: 'deny', name: 'shop.secret', host: '10.1.2.3' }),
  acl({ name: 'shop.secret' }),
  acl({ resource: 'group', name: 'g' }),
  acl({ resource: 'transactional_id', name: 't', operation: 'describe', pattern: 'prefixed' }),
  acl({ resource: 'cluster', name: 'kafka-cluster', operation: 'idempotent_write' }),
  acl({ resource: 'cluster', name: 'kafka-cluster', operation: 'describe' }),
];
/** What the target gets of them; what is told about `shop.secret` is in the test of what is left out. */
const COPIED: readonly Acl[] = [
  acl({ name: 'dr.orders' }),
  acl({ name: 'dr.pay', pattern: 'prefixed' }),
  acl({ user: 'bob', operation: 'read', name: 'dr.payments' }),
  acl({ user: 'bob', operation: 'describe_configs', name: 'dr.payments' }),
  acl({ user: 'carol', permission: 'deny', operation: 'describe', name: 'dr.payments' }),
  acl({ user: '*', operation: 'describe', name: 'dr.orders' }),
  acl({ user: '*', operation: 'describe', name: 'dr.payments' }),
  acl({ user: '*', operation: 'describe', name: 'dr.secret' }),
  acl({ resource: 'group', name: 'g' }),
  acl({ resource: 'transactional_id', name: 't', operation: 'describe', pattern: 'prefixed' }),
  acl({ resource: 'cluster', name: 'kafka-cluster', operation: 'describe' }),
];
/** Of the target's own administrator: never touched. */
const FOREIGN = acl({ user: 'dave', name: 'dr.orders' });
const file = (): string => writeLink(leastRightsLink(pair(), { around: spec }));

beforeAll(async () => {
  await Promise.all([
    runAdmin(cluster('source').bootstrap, [
      { create: TOPICS.map((name) => ({ name, partitions: 1, configs: { 'retention.ms': '99000000' } })) },
      { addAcls: OF_SOURCE },
      {
        setClientQuotas: [
          { entity: { user: 'alice' }, quotas: { producer_byte_rate: 1e6, consumer_byte_rate: 2e6 } },
          { entity: { user: 'bob', 'client-id': null }, quotas: { request_percentage: 50 } },
          { entity: { ip: '10.1.2.3' }, quotas: { connection_creation_rate: 5 } },
          { entity: { user: null }, quotas: { consumer_byte_rate: 9e6 } },
        ],
      },
    ]),
    runAdmin(cluster('target').bootstrap, [
      { addAcls: [FOREIGN] },
      { setClientQuotas: [{ entity: { user: 'alice' }, quotas: { consumer_byte_rate: 77 } }] },
    ]),
  ]);
  await writeStreams(
    cluster('source').bootstrap,
    TOPICS.map((topic) => ({ name: topic, topic, partitions: [0], records: 50, valueBytes: 100 })),
  );
  await grant(pair(), leastRights('around', spec));
}, 240_000);

const line = ({ user, operation, resource, name, pattern, permission, host }: Acl): string =>
  [permission, operation, resource, name, pattern, user, host].join(' ');
const lines = (acls: readonly Acl[]): string[] => acls.map(line).toSorted();
/** Without those of the mirror's own user. */
const others = async (side: KafkaCluster): Promise<string[]> =>
  lines((await heldAcls(side)).filter(({ user }) => user !== mirrorUser));
const quotas = async (side: KafkaCluster): Promise<string[]> =>
  (await runAdmin(side.bootstrap, [{ describeQuotas: 'all' }]))[0] as string[];

async function planned(): Promise<{ readonly code: number; readonly plan: MirrorPlan; readonly text: string }> {
  const [json, shown] = await Promise.all(
    [['--json'], []].map((argv) => new Command(['plan', '-f', file(), ...argv]).ended()),
  );
  const { mirrors } = JSON.parse(must(json, 'plan').out) as { mirrors: MirrorPlan[] };
  return { code: must(json, 'plan').code, plan: must(mirrors[0], 'mirror'), text: must(shown, 'plan').out };
}

const untilCaughtUp = () => LockstepProcess.run(file(), ['--until', 'caught-up']).ended(100_000);
const synced = ({ events }: { readonly events: readonly RunEvent[] }): string[] =>
  events.flatMap((event) => (event.event === 'synced' ? event.changes.map(({ subject }) => subject) : []));

/** What the brokers of a side say that a user may do with topics. */
async function operationsAs(
  side: KafkaCluster,
  user: string,
  topics: readonly string[],
): Promise<ReadonlyMap<string, Operations>> {
  const secret = join(temporaryDirectory('user'), 'password');
  writeFileSync(secret, PASSWORD);
  const security = {
    protocol: 'SASL_PLAINTEXT',
    mechanism: 'SCRAM-SHA-512',
    username: user,
    password: { file: secret },
  };
  const document = {
    apiVersion: 'lockstep/v1',
    kind: 'Cluster',
    metadata: { name: 'c' },
    spec: { bootstrap: side.doors.saslPlaintext, security },
  };
  const { spec: parsed } = must(parseDocuments([{ path: 'c', text: JSON.stringify(document) }]).clusters[0], 'cluster');
  const { signal } = new AbortController();
  const opened = new Cluster({
    ...systemHost,
    name: user,
    bootstrap: parsed.bootstrap,
    pool: new FramePool({ bytesMax: 1024 * 1024 }),
    security: must(
      createSecurity(parsed.security, { ...systemHost, environment: {} }, { onTrouble: () => {}, signal }),
      'security',
    ),
  });
  try {
    await opened.connect();
    return await topicOperations(opened, topics);
  } finally {
    opened.close();
  }
}

describe('ACLs, quotas and users', () => {
  test('are planned with the reason of each, and nothing is changed', { timeout: 100_000 }, async () => {
    const { code, plan, text } = await planned();
    expect(code, text).toBe(3);
    const subjects = (action: string): string[] =>
      plan.around.filter((change) => change.action === action).map(({ subject }) => subject);
    expect(subjects('create')).toContain('ALLOW READ on topic dr.pay (prefixed) for User:alice from *');
    expect(subjects('create')).toHaveLength(COPIED.length);
    expect(subjects('set').toSorted()).toEqual(
      [
        'producer_byte_rate of user alice',
        'request_percentage of user bob, every client-id',
        'connection_creation_rate of ip 10.1.2.3',
        'consumer_byte_rate of every user',
      ].toSorted(),
    );
    expect(subjects('keep')).toEqual(['consumer_byte_rate of user alice']);
    expect(text).toMatch(/keep consumer_byte_rate of user alice \(somebody else has set it on the target/);
    expect(text).toMatch(
      /leave-out DENY READ on topic shop\.secret for User:\* from 10\.1\.2\.3 \(it would shut the mirror itself out\)/,
    );
    expect(text).toMatch(
      /leave-out ALLOW READ on topic shop\.secret for User:alice .*"DENY READ on topic shop\.secret/,
    );
    expect(text).toMatch(/2 ACLs left out by sync\.acls\.write; 1 ACL about many topics/);
    expect(plan.usersToProvision.map(({ user, mechanism }) => `${user} ${mechanism}`)).toEqual(
      USERS.flatMap((user) => [`${user} SCRAM-SHA-256`, `${user} SCRAM-SHA-512`]),
    );
    expect(text).toMatch(/--entity-name alice --add-config 'SCRAM-SHA-512=\[iterations=4096,password=…\]'/);
    expect(plan.missingRights).toEqual([]);
    expect(await others(cluster('target'))).toEqual(lines([FOREIGN]));
  });

  test('follow before a mirror has caught up, and a second run changes nothing', { timeout: 200_000 }, async () => {
    const first = await untilCaughtUp();
    expect(first.code, told(first)).toBe(0);
    expect(first.incidents).toEqual([]);
    expect(await others(cluster('target'))).toEqual(lines([FOREIGN, ...COPIED]));
    expect(await quotas(cluster('target'))).toEqual([
      '{client-id=null, user=bob} request_percentage=50.0',
      '{ip=10.1.2.3} connection_creation_rate=5.0',
      '{user=alice} consumer_byte_rate=77.0',
      '{user=alice} producer_byte_rate=1000000.0',
      '{user=null} consumer_byte_rate=9000000.0',
    ]);
    const said = first.events.flatMap((event) => (event.event === 'warning' ? [event.message] : [])).join('\n');
    expect(said).toMatch(/lacks 6 users of "east".*alice \(SCRAM-SHA-256, 4096 iterations\)/);
    expect(said).toMatch(/Not on "west" as on "east"/);

    const second = await untilCaughtUp();
    expect(second.code, told(second)).toBe(0);
    expect(synced(second)).toEqual([]);
    expect((await planned()).code).toBe(0);
  });

  test('let no user do on the target what the source refuses', { timeout: 100_000 }, async () => {
    await runAdmin(cluster('target').bootstrap, [
      { setScram: Object.fromEntries(USERS.map((user) => [user, PASSWORD])) },
    ]);
    let allowed = 0;
    for (const user of USERS) {
      const onSource = await operationsAs(cluster('source'), user, TOPICS);
      const onTarget = await operationsAs(cluster('target'), user, TOPICS.map(copyOf));
      for (const topic of TOPICS) {
        const may = onTarget.get(copyOf(topic)) ?? 'hidden';
        const mayAtSource = onSource.get(topic) ?? 'hidden';
        if (typeof may === 'string') continue;
        allowed += may.size;
        expect(
          [...may].filter((operation) => typeof mayAtSource === 'string' || !mayAtSource.has(operation)),
          `${user} on ${topic}`,
        ).toEqual([]);
        expect(may.has('WRITE'), `${user} writes to ${topic}`).toBe(false);
      }
    }
    expect(allowed, 'operations that are allowed on the target').toBeGreaterThanOrEqual(5);
    expect((await planned()).plan.usersToProvision, 'users that are there now').toEqual([]);
  });

  test(
    'follow while the mirror runs; what goes at the source goes only where the mirror has made it',
    { timeout: 200_000 },
    async () => {
      const mirror = LockstepProcess.run(file());
      try {
        const ready = () => mirror.events.filter(({ event }) => event === 'topic').length === TOPICS.length;
        await mirror.until(ready, 'its topics are ready', 60_000);
        const erin = acl({ user: 'erin', name: 'shop.orders' });
        const steps: AdminStep[] = [
          {
            removeAcls: [
              acl({}),
              acl({ user: 'carol', permission: 'deny', operation: 'describe', name: 'shop.payments' }),
            ],
          },
          { addAcls: [erin, acl({ user: 'dave' })] },
          {
            setClientQuotas: [
              { entity: { user: 'alice' }, quotas: { producer_byte_rate: 3e6 } },
              { entity: { ip: '10.1.2.3' }, quotas: { connection_creation_rate: null } },
            ],
          },
          { setConfigs: { topic: 'shop.orders', configs: { 'retention.ms': '1000', 'segment.ms': '86400000' } } },
          { addPartitions: { topic: 'shop.orders', total: 2 } },
        ];
        await runAdmin(cluster('source').bootstrap, steps);
        const wanted = [
          'ALLOW READ on topic dr.orders for User:erin from *',
          'connection_creation_rate of ip 10.1.2.3',
          'segment.ms of topic dr.orders',
        ];
        await mirror.until(
          () => wanted.every((subject) => synced(mirror).includes(subject)),
          wanted.join(' and '),
          90_000,
        );
        expect(mirror.events.filter(({ event }) => event === 'incident')).toEqual([]);
        await runAdmin(cluster('source').bootstrap, [{ removeAcls: [acl({ user: 'dave' })] }]);
        await mirror.interrupt();
      } finally {
        await mirror.kill();
      }
      const last = await untilCaughtUp();
      expect(last.code, told(last)).toBe(0);
      const gone = new Set(
        lines([
          acl({ name: 'dr.orders' }),
          acl({ user: 'carol', permission: 'deny', operation: 'describe', name: 'dr.payments' }),
        ]),
      );
      const left = lines([...COPIED, FOREIGN, acl({ user: 'erin', name: 'dr.orders' })]).filter(
        (each) => !gone.has(each),
      );
      expect(await others(cluster('target'))).toEqual(left);
      expect(await quotas(cluster('target'))).toEqual([
        '{client-id=null, user=bob} request_percentage=50.0',
        '{user=alice} consumer_byte_rate=77.0',
        '{user=alice} producer_byte_rate=3000000.0',
        '{user=null} consumer_byte_rate=9000000.0',
      ]);
      const [orders] = await describeTopics(cluster('target').bootstrap, ['dr.orders']);
      expect(orders?.configs).toMatchObject({ 'retention.ms': '99000000', 'segment.ms': '86400000' });
      expect(orders?.partitions).toHaveLength(2);
      const { text } = await planned();
      expect(text).toMatch(/keep retention\.ms = 99000000; the source has 1000: never made weaker/);
    },
  );

  test(
    'without the right to them are named with the command, and records are copied all the same',
    { timeout: 200_000 },
    async () => {
      const revoked: Acl[] = ['alter', 'alter_configs'].map((operation) =>
        acl({ user: mirrorUser, operation, resource: 'cluster', name: 'kafka-cluster' }),
      );
      await runAdmin(cluster('target').bootstrap, [{ removeAcls: revoked }]);
      await runAdmin(cluster('source').bootstrap, [
        { addAcls: [acl({ user: 'frank' })] },
        { setClientQuotas: [{ entity: { user: 'alice' }, quotas: { producer_byte_rate: 4e6 } }] },
      ]);
      await writeStreams(cluster('source').bootstrap, [
        { name: 'more', topic: 'shop.payments', partitions: [0], records: 50, valueBytes: 100 },
      ]);
      const { plan } = await planned();
      expect(
        plan.missingRights.map(({ side, operation, resourceType }) => `${side} ${operation} ${resourceType}`),
      ).toEqual(expect.arrayContaining(['target ALTER cluster', 'target ALTER_CONFIGS cluster']));
      expect(plan.grants.map(({ command }) => command).join('\n')).toMatch(
        /--operation Alter .*--operation AlterConfigs --cluster/,
      );
      const run = await untilCaughtUp();
      expect(run.code, told(run)).toBe(0);
      expect(run.incidents).toEqual([]);
      const denied = run.events.flatMap((event) =>
        event.event === 'warning' && event.code === 'PERMISSION_DENIED' ? [event.message] : [],
      );
      expect(denied.join('\n')).toMatch(
        /ACLs of "west" do not follow the source: ALTER on the cluster of "west" is missing/,
      );
      expect(denied.join('\n')).toMatch(
        /Client quotas.* do not follow the source: (ALTER|DESCRIBE)_CONFIGS on the cluster of "west" is missing/,
      );
      const [payments] = await describeTopics(cluster('target').bootstrap, ['dr.payments']);
      expect(payments?.partitions[0]?.latest).toBe(100);
    },
  );
});

describe('settings of topics', () => {
  const inherited: MirrorSpec = {
    topics: [{ match: 'plain', to: 'inherited' }],
    sync: { configs: { defaultsFrom: 'source', allowWeaker: true, exclude: ['segment.ms'] } },
  };
  const kept: MirrorSpec = { topics: [{ match: 'plain', to: 'kept' }] };

  test(
    'are those in effect at the source with defaultsFrom: source, and may get weaker where that is asked for',
    { timeout: 240_000 },
    async () => {
      const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
      const mirrors = { inherited, kept };
      const own = { 'retention.ms': '9000000', 'segment.ms': '7000000', 'cleanup.policy': 'compact' };
      await runAdmin(source, [
        { create: [{ name: 'plain', partitions: 1, configs: own }] },
        { setBrokerConfigs: { 'log.segment.bytes': '12345678' } },
      ]);
      await grant(
        pair(),
        Object.entries(mirrors).flatMap(([name, of]) => leastRights(name, of)),
      );
      const path = writeLink(leastRightsLink(pair(), mirrors));
      const run = () => LockstepProcess.run(path, ['--until', 'caught-up']).ended(100_000);
      const first = await run();
      expect(first.code, told(first)).toBe(0);
      const changes = { 'retention.ms': '8000000', 'segment.ms': '6000000', 'cleanup.policy': null };
      await runAdmin(source, [{ setConfigs: { topic: 'plain', configs: changes } }]);
      const second = await run();
      expect(second.code, told(second)).toBe(0);
      const configsOf = async (topic: string) => (await describeTopics(target, [topic]))[0]?.configs;
      expect(await configsOf('inherited')).toMatchObject({
        'retention.ms': '8000000',
        'segment.bytes': '12345678',
        'cleanup.policy': 'delete',
      });
      const ofKept = await configsOf('kept');
      expect(ofKept).toMatchObject({ 'retention.ms': '9000000', 'segment.ms': '6000000' });
      expect(ofKept).not.toHaveProperty('segment.bytes');
      expect(ofKept).not.toHaveProperty('cleanup.policy');
      expect(synced(second).toSorted()).toEqual([
        'cleanup.policy of topic inherited',
        'cleanup.policy of topic kept',
        'retention.ms of topic inherited',
        'segment.ms of topic kept',
      ]);
      const third = await run();
      expect(third.code, told(third)).toBe(0);
      expect(synced(third)).toEqual([]);
    },
  );
});

describe('a source without an authorizer', () => {
  const open = sharedClusters({ open: {} });

  test('is said once, and is no incident', { timeout: 200_000 }, async () => {
    await runAdmin(open('open').bootstrap, [{ create: [{ name: 'plain', partitions: 1 }] }]);
    const link = leastRightsLink(pair(), { plain: { topics: [{ match: 'plain' }], sync: { acls: true } } });
    const path = writeLink({ ...link, source: open('open').bootstrap, sourceSecurity: {} });
    await grant(
      pair(),
      leastRights('plain', { topics: [{ match: 'plain' }], sync: { acls: true } }).filter(
        ({ side }) => side === 'target',
      ),
    );
    const run = await LockstepProcess.run(path, ['--until', 'caught-up']).ended(100_000);
    expect(run.code, told(run)).toBe(0);
    expect(run.incidents).toEqual([]);
    const said = run.events.filter((event) => event.event === 'warning' && event.code === 'SYNC_INCOMPLETE');
    expect(said).toMatchObject([{ message: 'ACLs do not follow the source: cluster "east" has no authorizer' }]);
  });
});
