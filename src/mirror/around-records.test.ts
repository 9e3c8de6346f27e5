/** The loop around the records on two clusters that are played as lists of ACLs and quotas. */
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '#contract/errors.ts';
import type { PlannedChange } from '#contract/plan.ts';
import { mirrorSchema } from '#contract/resources.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError, ConnectionError } from '#kafka/errors.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { AroundRecords } from './around-records.ts';
import type { AppliedRecord } from './state-records.ts';
import type { StateTopic } from './state-topic.ts';

const CLUSTER_AUTHORIZATION_FAILED = 31;
const SECURITY_DISABLED = 54;

/** An ACL as the wire has it: topic, literal, from every host. */
interface WireAcl {
  readonly name: string;
  readonly principal: string;
  readonly operation: number;
  readonly permissionType: number;
}

const READ = 3;
const WRITE = 4;
const DENY = 2;
const ALLOW = 3;
const allow = (name: string, principal = 'User:alice'): WireAcl => ({
  name,
  principal,
  operation: READ,
  permissionType: ALLOW,
});
const textOf = (acl: WireAcl): string => Object.values(acl).join(' ');

class PlayedCluster {
  readonly clock = new ManualClock();
  readonly closed = new AbortController().signal;
  readonly random = { next: () => 0.5 };
  readonly requestTimeoutMs = 1_000;
  readonly name: string;
  acls: WireAcl[] = [];
  quotas = new Map<string, number>();
  /** Names of the requests that change something, and what they ask for. */
  readonly changes: string[] = [];
  /** By the name of the request. */
  readonly refused = new Map<string, number>();
  /** The answer to this request is lost, after it was acted upon. */
  losesAnswerTo = '';

  constructor(name: string) {
    this.name = name;
  }

  asCluster(): Cluster {
    return this as unknown as Cluster;
  }

  refresh = async () => [{ name: this.name === 'west' ? 'dr.a' : 'a', errorCode: 0 }];

  call = async ({ name }: { readonly name: string }, request: unknown): Promise<unknown> => {
    const errorCode = this.refused.get(name) ?? 0;
    const answer = errorCode === 0 ? this.#answer(name, request) : this.#refusal(errorCode);
    if (this.losesAnswerTo === name)
      throw new ConnectionError('denied', 'west:9092', 'the connection is lost and not made again', {
        definite: false,
      });
    return answer;
  };

  #refusal(errorCode: number): object {
    const refused = { errorCode, errorMessage: null };
    const list = { length: 20_000 };
    return {
      ...refused,
      results: Array.from(list, () => refused),
      filterResults: Array.from(list, () => refused),
      resources: [],
    };
  }

  #answer(name: string, request: unknown): object {
    const ok = { errorCode: 0, errorMessage: null };
    switch (name) {
      case 'DescribeAcls':
        return {
          ...ok,
          resources: this.acls.map((acl) => ({
            resourceType: 2,
            resourceName: acl.name,
            patternType: 3,
            acls: [{ ...acl, host: '*' }],
          })),
        };
      case 'CreateAcls': {
        const { creations } = request as { creations: (WireAcl & { resourceName: string })[] };
        const added = creations.map(({ resourceName, principal, operation, permissionType }) => ({
          name: resourceName,
          principal,
          operation,
          permissionType,
        }));
        this.changes.push(...added.map((acl) => `create ${textOf(acl)}`));
        this.acls = [...new Map([...this.acls, ...added].map((acl) => [textOf(acl), acl])).values()];
        return { results: added.map(() => ok) };
      }
      case 'DeleteAcls': {
        const { filters } = request as {
          filters: { resourceNameFilter: string; principalFilter: string; operation: number; permissionType: number }[];
        };
        const gone = filters.map((each) =>
          textOf({
            name: each.resourceNameFilter,
            principal: each.principalFilter,
            operation: each.operation,
            permissionType: each.permissionType,
          }),
        );
        this.changes.push(...gone.map((text) => `delete ${text}`));
        this.acls = this.acls.filter((acl) => !gone.includes(textOf(acl)));
        return { filterResults: gone.map(() => ({ ...ok, matchingAcls: [] })) };
      }
      case 'DescribeClientQuotas':
        return {
          ...ok,
          entries: [...this.quotas].map(([user, value]) => ({
            entity: [{ entityType: 'user', entityName: user }],
            values: [{ key: 'producer_byte_rate', value }],
          })),
        };
      case 'AlterClientQuotas': {
        const { entries } = request as {
          entries: { entity: { entityName: string }[]; ops: { value: number; remove: boolean }[] }[];
        };
        for (const { entity, ops } of entries)
          for (const { value, remove } of ops) {
            const user = entity[0]?.entityName ?? '';
            this.changes.push(`${remove ? 'remove' : 'set'} ${user} ${value}`);
            if (remove) this.quotas.delete(user);
            else this.quotas.set(user, value);
          }
        return { entries: entries.map(() => ok) };
      }
      case 'DescribeUserScramCredentials':
        return {
          ...ok,
          results:
            this.name === 'east'
              ? [{ user: 'alice', errorCode: 0, credentialInfos: [{ mechanism: 2, iterations: 8192 }] }]
              : [],
        };
      case 'Metadata':
        return {
          topics: [{ errorCode: 29, name: 'lockstep-preflight', topicAuthorizedOperations: 0, partitions: [] }],
          errorCode: 0,
        };
      default:
        throw new BrokerError(errorOf(-1), name, 'an unexpected request');
    }
  }
}

function played(sync: object = { acls: true, quotas: true }) {
  const [source, target] = [new PlayedCluster('east'), new PlayedCluster('west')];
  const applied = new Map<string, AppliedRecord>();
  const seen = { changes: [] as string[], warnings: [] as [ErrorCode, string][], isLeader: true, records: 0 };
  const failover = { saved: null as { fence: { topics: string[] } } | null, loaded: null as object | null };
  const state = {
    load: async () => void (failover.loaded = failover.saved),
    failover: () => failover.loaded,
    appliedOf: () => [...applied.values()],
    putApplied: async (_: string, records: ReadonlyMap<string, AppliedRecord | null>) => {
      seen.records += records.size;
      for (const [key, record] of records)
        if (record === null) applied.delete(key);
        else applied.set(key, record);
    },
  };
  const resource = mirrorSchema.parse({
    apiVersion: 'lockstep/v1',
    kind: 'Mirror',
    metadata: { name: 'm' },
    spec: { source: 'east', target: 'west', topics: [{ match: '/(.*)/', to: 'dr.$1' }], sync },
  });
  const start = (): AroundRecords =>
    new AroundRecords({
      resource,
      source: source.asCluster(),
      target: target.asCluster(),
      mirrorId: 'id',
      state: state as unknown as StateTopic,
      principal: 'User:mirror',
      copied: () => [{ source: 'a', target: 'dr.a' }],
      isLeader: () => seen.isLeader,
      onChanges: (changes: readonly PlannedChange[]) =>
        void seen.changes.push(...changes.map(({ subject }) => subject)),
      onWarning: (code, message) => void seen.warnings.push([code, message]),
    });
  return { source, target, applied, seen, failover, start };
}

describe('what is around the records', () => {
  test('follows: DENY before ALLOW, and the other way round when it goes', async () => {
    const { source, target, start, seen } = played();
    const deny = { ...allow('a', 'User:bob'), permissionType: DENY };
    source.acls = [allow('a'), deny];
    const around = start();
    await around.check();
    expect(target.changes).toEqual(['create dr.a User:bob 3 2', 'create dr.a User:alice 3 3']);
    expect(seen.changes).toHaveLength(2);
    source.acls = [];
    await around.check();
    expect(target.changes.slice(2)).toEqual(['delete dr.a User:alice 3 3', 'delete dr.a User:bob 3 2']);
  });

  test("leaves the fence of the mirror's own failover at the source, and producers the rights that they have on the copy", async () => {
    const { source, target, start, seen, failover } = played({ acls: { write: 'keep' } });
    const mayWrite = { ...allow('a', 'User:app'), operation: WRITE };
    source.acls = [mayWrite];
    const around = start();
    await around.check();
    expect(target.changes).toEqual([`create dr.a User:app ${WRITE} ${ALLOW}`]);
    failover.saved = { fence: { topics: ['a'] } };
    const fence = { ...allow('a', 'User:*'), operation: WRITE, permissionType: DENY };
    source.acls = [mayWrite, fence];
    await around.check();
    expect([target.changes.slice(1), seen.warnings]).toEqual([[], []]);
    failover.saved = null; // of somebody else
    await around.check();
    expect(target.changes.slice(1)).toEqual([`delete dr.a User:app ${WRITE} ${ALLOW}`]);
  });

  test('asks for no change where nothing differs: 10,000 ACLs and 1,000 quotas', async () => {
    const { source, target, start } = played();
    source.acls = Array.from({ length: 10_000 }, (_, i) => allow('a', `User:u${i}`));
    source.quotas = new Map(Array.from({ length: 1_000 }, (_, i) => [`u${i}`, i + 1]));
    await start().check();
    expect(target.acls).toHaveLength(10_000);
    const before = target.changes.length;
    expect(before).toBe(11_000);
    const again = start();
    await again.check();
    await again.check();
    expect(target.changes).toHaveLength(before);
  });

  test('never takes away what it did not make, nor what it may not have made', async () => {
    const { source, target, start, seen } = played();
    source.acls = [allow('a', 'User:foreign'), allow('a', 'User:lost')];
    target.acls = [allow('dr.a', 'User:foreign')];
    target.losesAnswerTo = 'CreateAcls';
    await start().check();
    expect(target.acls, 'created, and nobody was told').toHaveLength(2);
    target.losesAnswerTo = '';
    source.acls = [];
    const restarted = start();
    await restarted.check();
    expect(target.acls).toHaveLength(2);
    expect(target.changes.filter((change) => change.startsWith('delete'))).toEqual([]);
    expect(seen.warnings.at(-1)?.[1]).toMatch(/User:lost.*whether this mirror created it is not known/);
  });

  test('of quotas goes with the source only where nobody changed it since', async () => {
    const { source, target, start, applied } = played();
    source.quotas = new Map([
      ['alice', 5],
      ['bob', 6],
    ]);
    const around = start();
    await around.check();
    target.quotas.set('bob', 7);
    source.quotas = new Map();
    await around.check();
    expect([...target.quotas]).toEqual([['bob', 7]]);
    expect(applied.size, 'what is not ours is forgotten').toBe(0);
  });

  test('of quotas that replaced a foreign value never takes that one away', async () => {
    const { source, target, start } = played({ quotas: { overwrite: true } });
    source.quotas.set('alice', 5);
    target.quotas.set('alice', 9);
    const around = start();
    await around.check();
    expect([...target.quotas]).toEqual([['alice', 5]]);
    target.quotas.set('alice', 9);
    source.quotas.clear();
    await around.check();
    expect([...target.quotas]).toEqual([['alice', 9]]);
  });

  test('is one process of several', async () => {
    const { source, target, start, seen } = played();
    source.acls = [allow('a')];
    seen.isLeader = false;
    await start().check();
    expect(target.changes).toEqual([]);
  });

  test('is said to be incomplete without a right, once, and again when something else is missing', async () => {
    const { source, target, start, seen } = played();
    source.acls = [allow('a')];
    source.quotas.set('alice', 5);
    target.refused.set('CreateAcls', CLUSTER_AUTHORIZATION_FAILED);
    const around = start();
    for (let round = 0; round < 3; round++) await around.check();
    expect(seen.records, 'an intended ACL and a quota, once').toBe(2);
    expect(seen.warnings).toMatchObject([
      [
        'PERMISSION_DENIED',
        expect.stringMatching(/ACLs of "west" do not follow the source: ALTER on the cluster of "west" is missing/),
      ],
    ]);
    expect([...target.quotas], 'the others follow').toEqual([['alice', 5]]);
    target.refused.clear();
    await around.check();
    expect(target.acls).toHaveLength(1);
    expect(seen.warnings).toHaveLength(1);
  });

  test('names the cluster on which the right to read it is missing', async () => {
    const { source, start, seen } = played();
    source.refused.set('DescribeClientQuotas', CLUSTER_AUTHORIZATION_FAILED);
    await start().check();
    expect(seen.warnings[0]?.[1]).toMatch(
      /^Client quotas do not follow the source: DESCRIBE_CONFIGS on the cluster of "east"/,
    );
  });

  test('is not there on a cluster without an authorizer, which is said once', async () => {
    const { source, start, seen } = played();
    source.refused.set('DescribeAcls', SECURITY_DISABLED);
    const around = start();
    await around.check();
    await around.check();
    expect(seen.warnings).toEqual([
      ['SYNC_INCOMPLETE', 'ACLs do not follow the source: cluster "east" has no authorizer'],
    ]);
  });

  test('names users that the target lacks', async () => {
    const { start, seen } = played({ users: true });
    await start().check();
    expect(seen.warnings).toMatchObject([
      ['SYNC_INCOMPLETE', expect.stringContaining('alice (SCRAM-SHA-512, 8192 iterations)')],
    ]);
  });
});
