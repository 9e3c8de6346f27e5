import { expect, test } from 'vitest';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import { createRandom } from '#util/random.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { isIdle, readGroupState } from './group-state.ts';

const GROUP = 'lockstep-east-to-west';
const GROUP_AUTHORIZATION_FAILED = 30;
const INVALID_GROUP_ID = 24;

/** One broker: what it answers for the group by name, and the groups in its list. */
function brokerThat(errorCode: number, listed: readonly { groupId: string; groupState: string }[]): Cluster {
  const answers: Record<string, unknown> = {
    FindCoordinator: { coordinators: [{ key: GROUP, nodeId: 1, errorCode: 0, errorMessage: null }] },
    OffsetFetch: { groups: [{ groupId: GROUP, errorCode, topics: [] }] },
    ListGroups: {
      errorCode: 0,
      groups: listed.map((each) => ({ ...each, protocolType: 'lockstep', groupType: 'classic' })),
    },
  };
  const cluster = {
    clock: new ManualClock(),
    random: createRandom(1),
    requestTimeoutMs: 1_000,
    closed: new AbortController().signal,
    brokers: () => [{ id: 1 }],
    refresh: async () => [],
    call: async ({ name }: { name: string }) => answers[name],
  };
  return cluster as unknown as Cluster;
}

test('a group that brokers do not show is not taken for one without members', async () => {
  const state = await readGroupState(brokerThat(GROUP_AUTHORIZATION_FAILED, []), GROUP);
  expect([state, isIdle(state)]).toEqual(['unknown', false]);
});

test('a group of which nobody can say anything is not taken for one without members', async () => {
  await expect(readGroupState(brokerThat(INVALID_GROUP_ID, []), GROUP)).rejects.toThrow(BrokerError);
});

test('members are seen, and that there are none', async () => {
  expect(await readGroupState(brokerThat(0, [{ groupId: GROUP, groupState: 'Stable' }]), GROUP)).toBe('Stable');
  expect(isIdle(await readGroupState(brokerThat(0, [{ groupId: GROUP, groupState: 'Empty' }]), GROUP))).toBe(true);
  expect(isIdle(await readGroupState(brokerThat(0, []), GROUP))).toBe(true);
});
