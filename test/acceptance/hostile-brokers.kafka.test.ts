/** Issue 4, 'Bad input', on real brokers: the longest names, and brokers that are advertised where nobody should connect to. */
import { expect, test } from 'vitest';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { writeWorkloads } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { lockstep } from './command.ts';
import { writeLink } from './link-file.ts';
import { runUntilCaughtUp, told } from './lockstep-process.ts';
import { expectSameRecords } from './same-records.ts';

const METADATA_SERVICE = '169.254.169.254';
/** It is reached at its own port, and says of itself what an attacker would: the address that gives out credentials. */
const advertised = (host: string) => ({ 'advertised.listeners': `PLAINTEXT://${host}:9092` });
const cluster = sharedClusters({ source: {}, target: {}, liar: { properties: advertised(METADATA_SERVICE) } });

test('topics whose names have 249 characters are mirrored, from and to such names', async () => {
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  const names = ['a', 'b'].map((letter) => `${letter}.-_${letter.toUpperCase()}9`.padEnd(249, letter));
  await writeWorkloads(
    source,
    names.map((name) => workloads.mixed(name, { records: 500, partitions: 2 })),
    { seed: 1 },
  );
  const [first = '', second = ''] = names;
  const renamed = 'c'.repeat(249);
  const mirrors = { long: { topics: [{ match: first }, { match: second, to: renamed }] } };
  const run = await runUntilCaughtUp(writeLink({ source, target, mirrors }));
  expect(run.code, told(run)).toBe(0);
  const topics = [
    { source: first, target: first },
    { source: second, target: renamed },
  ];
  await expectSameRecords({ source, target, topics });
});

test('a broker that is advertised at a metadata service is not connected to, and the command says so', async () => {
  const source = cluster('source').bootstrap;
  const target = [`127.0.0.1:${cluster('liar').brokers[0]?.port}`];
  const mirrors = { m: { topics: [{ match: '/^a.*$/' }] } };
  const ended = await lockstep('run', '-f', writeLink({ source, target, mirrors }), '--until', 'caught-up');
  expect(ended.err).toMatch(
    /^CLUSTER_ADDRESS_DENIED: .*169\.254\.169\.254:9092: a broker is advertised at 169\.254\.169\.254, a link-local address \(169\.254\.0\.0\/16\)\nnext: Correct advertised\.listeners of the broker;/,
  );
  expect(ended.code).toBe(1);
});
