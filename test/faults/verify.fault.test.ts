/**
 * What is wrong with a copy is found by those who only read: errors planted in the logs of the target and in what the mirror
 * has written down, named by `lockstep verify` and by a job of kind Verify, each with the credentials of a reader.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { RunEvent } from '#contract/status.ts';
import type { PartitionVerification, VerifyJobStatus } from '#contract/verification.ts';
import { appendRecords } from '#kafka/simple-log.ts';
import { decodeState, pieceKey, type LedgerRecord } from '#mirror/state-records.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { RawReader } from '#testing/raw-reader.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics, runAdmin, type Acl } from '#testing/topic-admin.ts';
import { spawnLiveTraffic, writeStreams, writeWorkload, type RecordStream } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { leastRightsLink, leastRightsUsers, mirrorUser } from '../acceptance/least-rights.ts';
import { linkText, writeLink, type Link, type MirrorSpec } from '../acceptance/link-file.ts';
import { alterLastBatch, dropMiddleBatch, swapLastBatches } from '../acceptance/log-surgery.ts';
import { LockstepProcess, runUntilCaughtUp, told } from '../acceptance/lockstep-process.ts';
import { expectVerified, runVerify } from '../acceptance/verified.ts';
import { fault } from './fault.ts';
import { clusterPair, type ClusterPair } from './mirror-under-test.ts';

const pair = clusterPair({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
const STATE_TOPIC = '__lockstep.state';

const mayRead = (name: string, pattern: 'literal' | 'prefixed' = 'prefixed'): Acl[] =>
  ['read', 'describe_configs'].map((operation) => ({ user: mirrorUser, operation, resource: 'topic', name, pattern }));

/** A file of Verify jobs and clusters, and no mirror: it runs with the reader's rights. */
function writeProofs(
  link: Link,
  jobs: Readonly<Record<string, { readonly of: string; readonly evidence?: string }>>,
): string {
  const proofs = Object.entries(jobs).map(([name, { of, evidence }]) => {
    const spec: MirrorSpec = must(link.mirrors[of], 'mirror');
    const mirror = { name: of, source: 'east', target: 'west', ...spec };
    const document = { apiVersion: 'lockstep/v1', kind: 'Verify', metadata: { name } };
    return JSON.stringify({ ...document, spec: { mirror, everyMs: 500, ...(evidence ? { evidence } : {}) } });
  });
  const path = join(temporaryDirectory('proofs'), 'proofs.yaml');
  writeFileSync(path, [linkText({ ...link, mirrors: {} }), ...proofs].join('\n---\n'));
  return path;
}

function statusOf(events: readonly RunEvent[], job: string): VerifyJobStatus | null {
  for (const event of events.toReversed())
    if ((event.event === 'verifying' || event.event === 'verifying-ended') && event.status.job === job)
      return event.status;
  return null;
}

const foundIn = (partitions: readonly PartitionVerification[]) =>
  Object.fromEntries(
    partitions
      .filter(({ verdict }) => verdict !== 'identical')
      .map(({ targetTopic, verdict, error, shown: [first] }) => [
        targetTopic,
        first ? `${first.kind} ${first.offset}` : `${verdict} ${error?.code}`,
      ]),
  );

fault(
  {
    id: 'verify-planted',
    title:
      'a byte changed, a batch dropped, two swapped, a ledger changed, a topic created anew, on the target of both modes',
  },
  async (run) => {
    const clusters = await pair();
    const [source, target] = [clusters.source.bootstrap, clusters.target.bootstrap];
    const names = ['changed', 'dropped', 'swapped', 'anew', 'ledger', 'right'];
    const mirrors: Link['mirrors'] = {
      same: { topics: [{ match: '/^planted\\.(.+)$/', to: 'same.$1' }] },
      mapped: { topics: [{ match: '/^planted\\.(.+)$/', to: 'mapped.$1' }], offsets: 'mapped' },
    };
    await createTopics(
      source,
      names.map((name) => ({ name: `planted.${name}`, partitions: 1 })),
    );
    // Batches that are large enough to be passed on as they are.
    for (const part of [0, 1, 2, 3])
      await writeStreams(
        source,
        names.map((name): RecordStream => ({
          name: `${name} ${part}`,
          topic: `planted.${name}`,
          partitions: [0],
          records: 20,
          valueBytes: 1_000,
        })),
      );
    const copied = await runUntilCaughtUp(writeLink({ source, target, mirrors }));
    expect(copied.code, told(copied)).toBe(0);

    await Promise.all([
      runAdmin(source, [{ addAcls: mayRead('planted.') }]),
      runAdmin(target, [{ addAcls: [...mayRead('same.'), ...mayRead('mapped.')] }]),
    ]);
    const link = leastRightsLink(clusters, mirrors);
    const reader = writeLink(link);
    const blind = await runVerify(reader);
    expect(blind.ended.code, 'a mapped copy without the right to its map').toBe(1);
    const hidden = blind.partitions.filter(({ verdict }) => verdict !== 'identical');
    expect(hidden.map(({ targetTopic, error }) => [targetTopic, error?.code])).toEqual(
      names.toSorted().map((name) => [`mapped.${name}`, 'PERMISSION_DENIED']),
    );
    expect(hidden[0]?.error?.message).toContain('READ on __lockstep.state of the target is missing');
    await runAdmin(target, [{ addAcls: mayRead(STATE_TOPIC, 'literal').slice(0, 1) }]);
    expect(await expectVerified(reader)).toBe(2 * names.length * 80);

    const offsets = await plantInLogs(clusters);
    await plantInLedger(target);
    await runAdmin(target, [
      { delete: ['same.anew', 'mapped.anew'] },
      { create: ['same.anew', 'mapped.anew'].map((name) => ({ name, partitions: 1 })) },
    ]);
    run.tookEffect(`eight errors in the logs, one in the state topic: ${JSON.stringify(offsets)}`);

    const evidence = join(temporaryDirectory('evidence'), 'kept');
    const { ended, partitions } = await runVerify(reader, ['--evidence', evidence]);
    expect(ended.code, ended.err).toBe(5);
    const expected = {
      ...Object.fromEntries(
        ['same', 'mapped'].flatMap((mode) => [
          [`${mode}.changed`, 'changed 79'],
          [`${mode}.dropped`, `missing ${offsets[`${mode}.dropped`]}`],
          [`${mode}.swapped`, `changed ${offsets[`${mode}.swapped`]}`],
          [`${mode}.anew`, 'absent 0'],
        ]),
      ),
      'mapped.ledger': 'unaccounted 79',
    };
    expect(foundIn(partitions)).toEqual(expected);
    const ledger = partitions.find(({ targetTopic }) => targetTopic === 'mapped.ledger');
    expect(ledger?.unexplained).toBe(1);
    const anew = partitions.find(({ targetTopic }) => targetTopic === 'same.anew')?.shown[0];
    expect(anew?.source?.value?.text, 'the first record of the source is named').toContain('"seq":0');
    const kept = JSON.parse(readFileSync(join(evidence, 'same.planted.changed-0-79.json'), 'utf8')) as Record<
      'source' | 'target',
      { base64: string }
    >;
    const [ours, theirs] = [kept.source, kept.target].map(({ base64 }) =>
      Buffer.from(base64, 'base64').toString('latin1'),
    );
    expect([ours?.includes('"seq":19'), theirs?.includes('"seq":19')]).toEqual([true, false]);

    // The same by a job, whose file has no mirror.
    const jobEvidence = join(temporaryDirectory('evidence'), 'kept');
    const proofs = writeProofs(link, {
      'proof-same': { of: 'same', evidence: jobEvidence },
      'proof-mapped': { of: 'mapped' },
    });
    const job = await LockstepProcess.run(proofs, ['--until', 'caught-up']).ended();
    expect(job.code, told(job)).toBe(5);
    const incidents = job.incidents.map(
      ({ code, mirror, topic, offsets: at }) => `${code} ${topic?.replace('planted', mirror)} ${at?.from}`,
    );
    expect(incidents.sort()).toEqual(
      Object.entries(expected)
        .map(([topic, what]) => `COPY_DIFFERENT ${topic} ${what.split(' ')[1]}`)
        .sort(),
    );
    expect(
      existsSync(join(jobEvidence, 'same.planted.swapped-0-40.json')) ||
        existsSync(join(jobEvidence, `same.planted.swapped-0-${offsets['same.swapped']}.json`)),
    ).toBe(true);
    const right = statusOf(job.events, 'proof-mapped')?.partitions.find(
      ({ targetTopic }) => targetTopic === 'mapped.right',
    );
    expect(right).toMatchObject({ from: 0, provenThrough: 80, lag: 0, records: 80, unexplained: 0, incident: null });
    run.figure('planted errors found', Object.keys(expected).length);
    run.outcome('each named at its record by both readers, exit code 5; what was right is identical');
  },
);

/** Returns the offset of the first record that is not as it was, by topic. */
async function plantInLogs({ target }: ClusterPair): Promise<Record<string, number>> {
  const broker = must(target.brokers[0], 'broker');
  const offsets: Record<string, number> = {};
  await broker.stop();
  try {
    for (const mode of ['same', 'mapped']) {
      alterLastBatch(broker, `${mode}.changed-0`, '"seq":19');
      offsets[`${mode}.dropped`] = dropMiddleBatch(broker, `${mode}.dropped-0`);
      offsets[`${mode}.swapped`] = swapLastBatches(broker, `${mode}.swapped-0`);
    }
  } finally {
    await broker.start();
  }
  return offsets;
}

/** The ledger says of the last record that it is one of an aborted transaction. */
async function plantInLedger(bootstrap: readonly string[]): Promise<void> {
  const key = pieceKey('ledger', { targetTopic: 'mapped.ledger', partition: 0, sourceTopic: 'planted.ledger' }, 0);
  let value: LedgerRecord | null = null;
  const reader = new RawReader(bootstrap);
  try {
    const { highWatermark } = await reader.bounds(STATE_TOPIC, 0);
    for await (const batch of reader.batches(STATE_TOPIC, 0, { from: 0, to: highWatermark }))
      for (const record of batch.records()) {
        const decoded = decodeState(record);
        if (decoded?.kind === 'ledger' && decoded.key === key) ({ value } = decoded);
      }
  } finally {
    reader.close();
  }
  const [delivered, aborted] = [0, 2];
  const planted = { version: 1, ...must(value, 'ledger'), runs: [delivered, 79, aborted, 1] };
  const cluster = openCluster(bootstrap);
  try {
    await cluster.connect();
    const record = { key: Buffer.from(key), value: Buffer.from(JSON.stringify(planted)), timestamp: Date.now() };
    await appendRecords(cluster, { topic: STATE_TOPIC, partition: 0, records: [record] });
  } finally {
    cluster.close();
  }
}

fault(
  {
    id: 'verify-job',
    title:
      'a continuous verification with the rights of a reader, beside a live mirror; killed, and started again after records expired',
  },
  async (run) => {
    const clusters = await pair();
    const [source, target] = [clusters.source.bootstrap, clusters.target.bootstrap];
    const mirrors: Link['mirrors'] = {
      live: { topics: [{ match: '/^live\\.(.+)$/', to: 'copy.$1' }] },
      dense: { topics: [{ match: '/^live\\.(.+)$/', to: 'dense.$1' }], offsets: 'mapped' },
    };
    await Promise.all([
      runAdmin(source, [{ addAcls: mayRead('live.') }]),
      runAdmin(target, [
        { addAcls: [...mayRead('copy.'), ...mayRead('dense.'), ...mayRead(STATE_TOPIC, 'literal').slice(0, 1)] },
      ]),
    ]);
    await createTopics(source, [
      { name: 'live.plain', partitions: 2 },
      { name: 'live.paid', partitions: 2 },
    ]);
    await writeWorkload(source, workloads.compacted('live.keyed', { records: 4_000, partitions: 1 }));
    const shared = { partitions: [0, 1], valueBytes: 400, recordsPerSecond: 150 };
    const paid = { producers: 2, abortRate: 0.2, records: [1, 20], plainRate: 0.2 } as const;
    const traffic = await spawnLiveTraffic(source, [
      { ...shared, name: 'plain', topic: 'live.plain' },
      { ...shared, name: 'paid', topic: 'live.paid', transactions: paid },
    ]);
    const mirror = LockstepProcess.run(writeLink({ source, target, mirrors }));
    const link = leastRightsLink(clusters, mirrors);
    const proofs = writeProofs(link, { proof: { of: 'live' }, 'proof-dense': { of: 'dense' } });
    let job = LockstepProcess.run(proofs);
    try {
      const partitions = () => ['proof', 'proof-dense'].flatMap((name) => statusOf(job.events, name)?.partitions ?? []);
      const proven = () => partitions().reduce((sum, { provenThrough }) => sum + (provenThrough ?? 0), 0);
      await job.until(
        () => partitions().length === 10 && partitions().every(({ records }) => records > 0),
        'something of each partition is proven',
        120_000,
      );
      const before = proven();
      await job.until(() => proven() > before + 2_000, 'it goes on as the copies grow', 120_000);
      await job.kill();
      expect(
        job.events.filter(({ event }) => event === 'incident'),
        job.describe(),
      ).toEqual([]);
      run.tookEffect(
        `killed when ${proven()} offsets were proven, while ${traffic.progress.records} records were written`,
      );

      // What expires while nobody verifies is not proven.
      const at = must(
        mirror.status('live')?.shards.find(({ topic, partition }) => topic === 'live.plain' && partition === 0)
          ?.position,
        'position',
      );
      await runAdmin(target, [{ deleteRecords: { topic: 'copy.plain', before: { 0: Math.floor(at / 2) } } }]);
      const startedAt = performance.now();
      job = LockstepProcess.run(proofs);
      await job.until(
        () => partitions().length === 10 && partitions().every(({ provenThrough }) => provenThrough !== null),
        'it has begun again',
        120_000,
      );
      await traffic.stop();
      await job.until(
        () =>
          mirror.status('live')?.shards.every(({ lagRecords }) => lagRecords === 0) === true &&
          mirror.status('dense')?.shards.every(({ lagRecords }) => lagRecords === 0) === true &&
          partitions().every(({ lag }) => lag === 0),
        'all is proven',
        120_000,
      );
      run.figure('all proven again, in s', Math.round((performance.now() - startedAt) / 100) / 10);
      const cut = partitions().filter(({ unverifiedOffsets }) => unverifiedOffsets > 0);
      expect(
        cut.map(({ targetTopic, partition, from, unverified }) => [`${targetTopic}/${partition}`, from, unverified]),
      ).toEqual([
        [
          'copy.plain/0',
          0,
          [{ from: 0, to: Math.floor(at / 2), reason: `the target's log begins at offset ${Math.floor(at / 2)}` }],
        ],
      ]);
      expect(partitions().map(({ from, unexplained }) => [from, unexplained])).toEqual(partitions().map(() => [0, 0]));
      const ended = await job.interrupt();
      expect([ended.code, ended.incidents], told(ended)).toEqual([130, []]);
      expect((await mirror.interrupt()).incidents).toEqual([]);
      const records = await expectVerified(writeLink(link), { mayBeUnverified: true });
      run.outcome(
        `proven as it grew, from the log start again after the kill, ${records} records; what expired is unverified`,
      );
    } finally {
      await Promise.all([job.kill(), mirror.kill(), traffic.stop().catch(() => {})]);
    }
  },
);
