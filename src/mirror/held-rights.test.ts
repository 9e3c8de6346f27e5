/** Rights on groups, asked of a played broker; those on topics are asked of real ones (test/acceptance/permissions.kafka.test.ts). */
import { expect, test } from 'vitest';
import type { Right } from '#contract/plan.ts';
import type { Api } from '#kafka/api.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { createRandom } from '#util/random.ts';
import { checkRights } from './held-rights.ts';

const GROUP_AUTHORIZATION_FAILED = 30;
const OPERATIONS: Readonly<Record<string, string>> = {
  Heartbeat: 'READ',
  OffsetFetch: 'DESCRIBE',
  DeleteGroups: 'DELETE',
};

/** A broker on which the rights of `held` are ours; it keeps what it was asked about. */
function start(held: readonly string[]) {
  const asked: string[] = [];
  const call = (api: Api<never, unknown>, request: Record<string, unknown>): Promise<unknown> => {
    const { groupId, groups, groupsNames } = request as {
      groupId?: string;
      groups?: { groupId: string }[];
      groupsNames?: string[];
    };
    const name = groupId ?? groups?.[0]?.groupId ?? groupsNames?.[0] ?? '';
    asked.push(`${api.name} ${name}`);
    const isHeld = held.some((right) => {
      const [operation, prefix = ''] = right.split(' ');
      return operation === OPERATIONS[api.name] && name.startsWith(prefix);
    });
    const errorCode = isHeld ? 0 : GROUP_AUTHORIZATION_FAILED;
    return Promise.resolve({
      errorCode,
      groups: [{ groupId: name, errorCode }],
      results: [{ groupId: name, errorCode }],
    });
  };
  const world = { name: 'west', call, requestTimeoutMs: 1_000, random: createRandom(1), clock: { monotonic: () => 0 } };
  return { cluster: world as unknown as Cluster, asked };
}

function right(operation: string, resource: string, pattern: Right['pattern'] = 'literal'): Right {
  const texts = { cluster: 'west', when: '', why: '', without: '', command: '' };
  return { side: 'target', resourceType: 'group', resource, pattern, operation, stops: 'part', ...texts };
}

async function check(held: readonly string[], wanted: Right): Promise<'held' | 'missing' | 'unknown'> {
  const { missing, unknown } = await checkRights(start(held).cluster, [wanted], new Map());
  return missing.length > 0 ? 'missing' : unknown.length > 0 ? 'unknown' : 'held';
}

test('a right on one group is held or missing', async () => {
  expect(await check(['READ g'], right('READ', 'g'))).toBe('held');
  expect(await check(['DESCRIBE g'], right('READ', 'g'))).toBe('missing');
  expect(await check(['DESCRIBE g'], right('DESCRIBE', 'g'))).toBe('held');
  expect(await check([], right('DESCRIBE', 'g'))).toBe('missing');
});

test('a right on a pattern that is not held may be held on single groups', async () => {
  for (const operation of ['READ', 'DESCRIBE', 'DELETE']) {
    expect(await check([operation], right(operation, '*'))).toBe('held');
    expect(await check([`${operation} pay-`], right(operation, 'pay-', 'prefixed'))).toBe('held');
    expect(await check([], right(operation, 'pay-', 'prefixed'))).toBe('unknown');
    expect(await check([], right(operation, '*'))).toBe('unknown');
  }
});

test('to learn whether a group may be deleted none is deleted that somebody could have', async () => {
  const { cluster, asked } = start(['DELETE']);
  const wanted = [right('DELETE', 'orders'), right('DELETE', 'orders', 'prefixed'), right('DELETE', '*')];
  const { unknown } = await checkRights(cluster, wanted, new Map());
  expect(unknown).toEqual([wanted[0]]);
  expect(asked).toEqual(['DeleteGroups orderslockstep-preflight', 'DeleteGroups lockstep-preflight']);
});
