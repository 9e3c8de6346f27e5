/**
 * Rights that are taken away while a mirror works, which holds exactly the documented ones, and given back: each is one
 * incident that names the right, where it stood, and ends by itself.
 */
import { expect, onTestFinished } from 'vitest';
import type { Right } from '#contract/plan.ts';
import type { Incident } from '#contract/status.ts';
import { describeProducers } from '#kafka/producers.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { writeStreams } from '#testing/workload.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { must } from '#util/assert.ts';
import {
  aclOf,
  grant,
  grantLeastRights,
  heldAcls,
  leastRightsLink,
  leastRightsUsers,
  revoke,
} from '../acceptance/least-rights.ts';
import type { MirrorSpec } from '../acceptance/link-file.ts';
import { fault, type FaultRun } from './fault.ts';
import { clusterPair, startMirror, type ClusterPair, type MirrorUnderTest } from './mirror-under-test.ts';

const pair = clusterPair({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
const PARTITIONS = 2;
/** Settings are compared every 30 s, and what failed is tried again as often. */
const NOTICED_WITHIN_MS = 120_000;

interface Taken {
  readonly id: string;
  readonly title: string;
  readonly share?: boolean;
  readonly kind: 'plain' | 'transactional';
  readonly side: Right['side'];
  readonly operation: string;
  readonly resourceType: Right['resourceType'];
  readonly code: Incident['code'];
  /** In cause or next step. */
  readonly words: RegExp;
  /** Default: committed-only. */
  readonly transactions?: 'preserve';
  readonly offsets?: 'mapped';
}

const TAKEN: readonly Taken[] = [
  {
    id: 'source-read-revoked',
    title: 'READ on the source topic is taken away under load, and given back',
    share: true,
    kind: 'plain',
    side: 'source',
    operation: 'READ',
    resourceType: 'topic',
    code: 'PERMISSION_DENIED',
    words: /READ/,
  },
  {
    id: 'target-write-revoked',
    title: 'WRITE on the target topic is taken away under load, and given back',
    kind: 'plain',
    side: 'target',
    operation: 'WRITE',
    resourceType: 'topic',
    code: 'PERMISSION_DENIED',
    words: /WRITE on the topic/,
  },
  {
    id: 'cluster-alter-revoked',
    title: 'ALTER on the target cluster is taken away while holes are filled, and given back',
    kind: 'transactional',
    side: 'target',
    operation: 'ALTER',
    resourceType: 'cluster',
    code: 'SHARD_HOLES_NOT_ALLOWED',
    words: /ALTER \(or CLUSTER_ACTION\) on cluster/,
  },
  {
    id: 'transactional-ids-revoked',
    title: 'WRITE on the transactional ids is taken away in the middle of preserved transactions, and given back',
    kind: 'transactional',
    side: 'target',
    operation: 'WRITE',
    resourceType: 'transactional-id',
    code: 'PERMISSION_DENIED',
    words: /WRITE on the transactional ids?/,
    transactions: 'preserve',
  },
  {
    id: 'mapped-write-revoked',
    title: 'WRITE on the target topic is taken away and given back, with mapped offsets',
    kind: 'transactional',
    side: 'target',
    operation: 'WRITE',
    resourceType: 'topic',
    code: 'PERMISSION_DENIED',
    words: /WRITE on the topic/,
    offsets: 'mapped',
  },
];

/** So long and interleaved that one is open on the target nearly always. */
const LONG = { producers: 3, abortRate: 0.3, records: [20, 60] } as const;

/** A mirror under load that holds exactly the documented rights, which are returned. */
async function startLeast(
  run: FaultRun,
  clusters: ClusterPair,
  options: Pick<Taken, 'kind' | 'transactions' | 'offsets'> & { readonly others?: readonly string[] },
): Promise<{ mirror: MirrorUnderTest; rights: Right[] }> {
  const topics = [`${run.id}.${options.kind}`, ...(options.others ?? [])];
  const spec: MirrorSpec = {
    topics: topics.map((match) => ({ match })),
    transactions: options.transactions ?? 'committed-only',
    refreshMs: 1_000,
    ...(options.offsets ? { offsets: options.offsets } : {}),
  };
  const mirrors = { [run.id]: spec };
  const rights = await grantLeastRights(clusters, mirrors);
  const { mirrors: _, ...link } = leastRightsLink(clusters, mirrors);
  const mirror = await startMirror(run, clusters, {
    name: run.id,
    kinds: [options.kind],
    partitions: PARTITIONS,
    recordsPerSecond: 60,
    ...(options.transactions === 'preserve' ? { stream: { transactions: LONG } } : {}),
    spec,
    link,
  });
  return { mirror, rights };
}

/** Says where transactions are open on the target; fails where none is. */
async function openOnTarget({ pair: { target }, topics }: MirrorUnderTest): Promise<string> {
  const cluster = openCluster(target.bootstrap);
  await cluster.connect();
  onTestFinished(() => cluster.close());
  const open: string[] = [];
  for (const topic of topics)
    for (let partition = 0; partition < PARTITIONS; partition++)
      for (const { currentTxnStartOffset } of await describeProducers(cluster, { topic, partition }))
        if (currentTxnStartOffset >= 0) open.push(`${topic}/${partition} from ${currentTxnStartOffset}`);
  expect(open.length, 'transactions that are open on the target').toBeGreaterThan(0);
  return `open on the target meanwhile: ${open.join(', ')}`;
}

/** Takes a right away; its effect is that the cluster lists it no more. */
async function take(run: FaultRun, clusters: ClusterPair, right: Right): Promise<void> {
  await revoke(clusters, [right]);
  const { operation, resource, name } = { ...aclOf(right), name: right.resource };
  const held = await heldAcls(clusters[right.side]);
  expect(held.filter((acl) => acl.operation === operation && acl.name === name)).toEqual([]);
  run.tookEffect(`the ${right.side} lists no ${right.operation} on ${resource} ${name} any more`);
}

const all = ({ process }: MirrorUnderTest): Incident[] =>
  process.events.flatMap((event) =>
    event.event === 'incident' && event.incident.topic !== null ? [event.incident] : [],
  );
const ended = ({ process }: MirrorUnderTest): Incident[] =>
  process.events.flatMap((event) =>
    event.event === 'incident-ended' && event.incident.topic !== null ? [event.incident] : [],
  );

for (const taken of TAKEN) {
  const { id, title, share = false } = taken;
  fault({ id, title, share, timeoutMs: 600_000 }, async (run) => {
    const clusters = await pair();
    const { mirror, rights } = await startLeast(run, clusters, taken);
    const right = must(
      rights.find(
        ({ side, operation, resourceType, resource }) =>
          side === taken.side &&
          operation === taken.operation &&
          resourceType === taken.resourceType &&
          resource !== '__lockstep.state',
      ),
      'the right',
    );
    await mirror.advances('with the right');
    await take(run, clusters, right);
    await mirror.until(() => all(mirror).length === PARTITIONS, 'an incident for each partition', NOTICED_WITHIN_MS);
    run.tookEffect(`refused: ${all(mirror)[0]?.cause}`);
    await mirror.lasts(10_000);
    const incidents = all(mirror);
    expect(new Set(incidents.map(({ partition }) => partition))).toEqual(new Set([0, 1]));
    for (const incident of incidents) {
      expect(incident).toMatchObject({ code: taken.code, severity: 'error', endsByItself: true });
      expect(`${incident.cause} ${incident.nextStep}`).toMatch(taken.words);
      expect(incident.offsets?.from, 'where the partition stands').toBeGreaterThan(0);
    }
    const stoodAt = new Map(incidents.map(({ partition, offsets }) => [partition, offsets?.from]));
    for (const { partition, position } of mirror.shards()) expect(position).toBe(stoodAt.get(partition));
    if (taken.transactions === 'preserve') run.tookEffect(await openOnTarget(mirror));

    const restoredAt = performance.now();
    await grant(clusters, [right]);
    await mirror.until(() => ended(mirror).length === PARTITIONS, 'both incidents have ended', NOTICED_WITHIN_MS);
    run.figure('over after, in s', (performance.now() - restoredAt) / 1000);
    await mirror.expectIdenticalAfterwards({ incidents: incidents.map(({ code }) => code) });
  });
}

fault(
  {
    id: 'describe-configs-revoked',
    title: 'DESCRIBE_CONFIGS on the source topic is taken away: records go on',
    timeoutMs: 600_000,
  },
  async (run) => {
    const clusters = await pair();
    const { mirror, rights } = await startLeast(run, clusters, { kind: 'plain' });
    const right = must(
      rights.find(({ side, operation }) => side === 'source' && operation === 'DESCRIBE_CONFIGS'),
      'the right',
    );
    await take(run, clusters, right);
    await mirror.until(() => all(mirror).length > 0, 'an incident', NOTICED_WITHIN_MS);
    run.figure('records go on after, in ms', await mirror.advances('without the right to settings'));
    expect(all(mirror)).toMatchObject([
      {
        code: 'PERMISSION_DENIED',
        severity: 'warning',
        topic: mirror.topic('plain'),
        partition: null,
        endsByItself: true,
      },
    ]);
    expect(all(mirror)[0]?.nextStep).toMatch(/DESCRIBE_CONFIGS on the topic/);
    await grant(clusters, [right]);
    await mirror.until(() => ended(mirror).length === 1, 'the incident has ended', NOTICED_WITHIN_MS);
    expect(all(mirror)).toHaveLength(1);
    await mirror.expectIdenticalAfterwards({ outages: ['PERMISSION_DENIED'] });
  },
);

fault(
  {
    id: 'create-revoked',
    title: 'CREATE is missing when a new topic appears: it waits, the other goes on',
    timeoutMs: 600_000,
  },
  async (run) => {
    const clusters = await pair();
    const fresh = `${run.id}.fresh`;
    const { mirror, rights } = await startLeast(run, clusters, { kind: 'plain', others: [fresh] });
    const right = must(
      rights.find(({ side, operation, resource }) => side === 'target' && operation === 'CREATE' && resource === fresh),
      'the right',
    );
    await take(run, clusters, right);
    await createTopics(clusters.source.bootstrap, [{ name: fresh, partitions: 1 }]);
    await writeStreams(clusters.source.bootstrap, [
      { name: 'fresh', topic: fresh, partitions: [0], records: 500, valueBytes: 200 },
    ]);
    await mirror.until(() => all(mirror).length > 0, 'an incident', NOTICED_WITHIN_MS);
    await mirror.advances('the topic that is copied already');
    expect(all(mirror)).toMatchObject([
      { code: 'PERMISSION_DENIED', severity: 'error', topic: fresh, partition: null, endsByItself: true },
    ]);
    expect(all(mirror)[0]?.nextStep).toMatch(/CREATE on the topic/);
    await grant(clusters, [right]);
    await mirror.until(() => ended(mirror).length === 1, 'the incident has ended', NOTICED_WITHIN_MS);
    const isCopied = (): boolean => mirror.shards().some(({ topic, position }) => topic === fresh && position === 500);
    await mirror.until(isCopied, 'the new topic is copied', NOTICED_WITHIN_MS);
    await mirror.expectIdenticalAfterwards({ incidents: ['PERMISSION_DENIED'] });
    await expectIdentical({
      source: clusters.source.bootstrap,
      target: clusters.target.bootstrap,
      topics: [{ source: fresh, target: fresh }],
    });
  },
);
