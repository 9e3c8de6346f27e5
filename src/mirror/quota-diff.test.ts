import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QuotaSync } from '#contract/sync-settings.ts';
import type { ClientQuota, QuotaEntity } from '#kafka/client-quotas.ts';
import { diffQuotas, quotaChanges, type AppliedQuota, type QuotaFacts } from './quota-diff.ts';

const policy: QuotaSync = { match: null, exclude: [], overwrite: false };
const user = (name: string | null): QuotaEntity => [{ type: 'user', name }];
const quota = (entity: QuotaEntity, values: Readonly<Record<string, number>>): ClientQuota => ({
  entity,
  values: new Map(Object.entries(values)),
});
const RATE = 'producer_byte_rate';
const actions = (facts: Partial<QuotaFacts>, own: Partial<QuotaSync> = {}) =>
  diffQuotas({ source: [], target: [], applied: [], ...facts }, { ...policy, ...own }).map(
    ({ action, key }) => `${action} ${key}`,
  );

describe('client quotas', () => {
  const ofSource = [quota(user('alice'), { [RATE]: 10 })];
  const applied: AppliedQuota = { entity: user('alice'), key: RATE, value: 7, before: null };

  test('are set where the target has none, and left where it has the same', () => {
    expect(actions({ source: ofSource })).toEqual([`set ${RATE}`]);
    expect(actions({ source: ofSource, target: ofSource })).toEqual([]);
  });

  test('of the target that we have not set stay, unless overwrite is asked for', () => {
    const target = [quota(user('alice'), { [RATE]: 5, request_percentage: 50 })];
    expect(actions({ source: ofSource, target })).toEqual([`keep ${RATE}`]);
    expect(actions({ source: ofSource, target }, { overwrite: true })).toEqual([`set ${RATE}`]);
    expect(actions({ target })).toEqual([]);
  });

  test('that we have set follow the source, and go with it; one that was changed since is not ours any more', () => {
    const target = [quota(user('alice'), { [RATE]: 7 })];
    expect(actions({ source: ofSource, target, applied: [applied] })).toEqual([`set ${RATE}`]);
    expect(actions({ target, applied: [applied] })).toEqual([`remove ${RATE}`]);
    expect(actions({ target: [quota(user('alice'), { [RATE]: 8 })], applied: [applied] })).toEqual([`forget ${RATE}`]);
    const interrupted = { ...applied, value: 10, before: 7 };
    expect(actions({ target, applied: [interrupted] })).toEqual([`remove ${RATE}`]);
  });

  test('are chosen by the names of users, client ids and addresses; a default is <default>', () => {
    const source = [user('alice'), user('bob'), user(null)].map((entity) => quota(entity, { [RATE]: 1 }));
    const named = (own: Partial<QuotaSync>) =>
      diffQuotas({ source, target: [], applied: [] }, { ...policy, ...own }).map(({ entity }) => entity[0]?.name);
    expect(named({ exclude: ['bob'] })).toEqual(['alice', null]);
    expect(named({ match: ['<default>', '/a.*/'] })).toEqual(['alice', null]);
  });

  test('of one entity are one change', () => {
    const source = [quota(user('alice'), { [RATE]: 1, consumer_byte_rate: 2 })];
    const differences = diffQuotas({ source, target: [], applied: [] }, policy);
    expect(quotaChanges(differences)).toEqual([
      {
        entity: user('alice'),
        set: new Map([
          [RATE, 1],
          ['consumer_byte_rate', 2],
        ]),
        remove: [],
      },
    ]);
  });

  test('once changed differ no more, whatever both sides have', () => {
    const quotas = fc.uniqueArray(
      fc.record({
        name: fc.constantFrom('alice', 'bob', null),
        key: fc.constantFrom(RATE, 'consumer_byte_rate'),
        value: fc.nat(3),
      }),
      { selector: ({ name, key }) => `${name} ${key}` },
    );
    fc.assert(
      fc.property(quotas, quotas, (ofSource, ofTarget) => {
        const toQuotas = (all: typeof ofSource) =>
          all.map(({ name, key, value }) => quota(user(name), { [key]: value }));
        const own = { ...policy, overwrite: true };
        const facts = { source: toQuotas(ofSource), applied: [] };
        const changes = quotaChanges(diffQuotas({ ...facts, target: toQuotas(ofTarget) }, own));
        const set = changes.flatMap(({ entity, set: values }) => [{ entity, values }]);
        const isChanged = (name: string | null, key: string): boolean =>
          changes.some((each) => each.entity[0]?.name === name && each.set.has(key));
        const rest = toQuotas(ofTarget.filter(({ name, key }) => !isChanged(name, key)));
        expect(diffQuotas({ ...facts, target: [...rest, ...set] }, own)).toEqual([]);
      }),
    );
  });
});
