/** Offsets of groups as a user who holds exactly the documented rights, and without each of those that groups need. */
import { expect, test } from 'vitest';
import type { Right } from '#contract/plan.ts';
import type { RunEvent } from '#contract/status.ts';
import { committedBy, runGroups } from '#testing/group-client.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { writeWorkloads } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import {
  grant,
  leastRights,
  leastRightsLink,
  leastRightsUsers,
  planAsMirror,
  type SecurePair,
} from './least-rights.ts';
import { writeLink, type MirrorSpec } from './link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told } from './lockstep-process.ts';

const cluster = sharedClusters({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
const pair = (): SecurePair => ({ source: cluster('source'), target: cluster('target') });
const mirror: MirrorSpec = {
  topics: [{ match: 'orders' }],
  sync: { groups: { match: ['keeper'], everyMs: 500 } },
};
const ofGroups = ({ resource }: Right): boolean => resource === 'keeper';
const named = ({ side, operation, resource }: Right): string => `${side} ${operation} ${resource}`;

test('what groups need is named by the plan, costs only the groups, and is enough', async () => {
  const { source, target } = pair();
  await writeWorkloads(source.bootstrap, [workloads.oldTimestamps('orders', { records: 400, partitions: 1 })]);
  await runGroups(source.bootstrap, [{ commit: { keeper: { orders: { 0: 150 } }, other: { orders: { 0: 9 } } } }]);
  const rights = leastRights('kept', mirror);
  await grant(
    pair(),
    rights.filter((right) => !ofGroups(right)),
  );
  const lacking = await planAsMirror(pair(), { name: 'kept', mirror });
  expect(lacking.missingRights.map(named)).toEqual(['source DESCRIBE keeper', 'target READ keeper']);
  expect(lacking.groups, 'it is not even seen').toEqual([]);
  const file = writeLink(leastRightsLink(pair(), { kept: mirror }));
  const blind = await runUntilCaughtUp(file);
  expect(blind.code, told(blind)).toBe(0);
  expect(await committedBy(target.bootstrap, ['keeper'])).toEqual({ keeper: {} });

  await grant(
    pair(),
    rights.filter((right) => ofGroups(right) && right.side === 'source'),
  );
  const seen = await planAsMirror(pair(), { name: 'kept', mirror });
  expect(seen.groups).toMatchObject([{ group: 'keeper', action: 'sync', partitions: 1 }]);
  const run = LockstepProcess.run(file);
  try {
    const last = (): Extract<RunEvent, { event: 'groups' }> | undefined =>
      run.events.flatMap((event) => (event.event === 'groups' ? [event] : [])).at(-1);
    await run.until(() => last()?.leftAloneCount === 1, 'the group is left alone');
    expect(last()?.leftAlone).toMatchObject([{ group: 'keeper', why: expect.stringContaining('a right is missing') }]);
    await grant(
      pair(),
      rights.filter((right) => ofGroups(right) && right.side === 'target'),
    );
    await run.until(() => last()?.inPlace === 1, 'the group follows');
    expect(await committedBy(target.bootstrap, ['keeper', 'other'])).toEqual({
      keeper: { 'orders/0': [150, -1, ''] },
      other: {},
    });
    const ended = await run.interrupt();
    expect(ended.incidents, told(ended)).toEqual([]);
  } finally {
    await run.kill();
  }
  expect((await planAsMirror(pair(), { name: 'kept', mirror })).missingRights).toEqual([]);
}, 280_000);
