import { describe, expect, test } from 'vitest';
import type { Acl } from '#kafka/acls.ts';
import { diffAcls } from './acl-diff.ts';

const acl = (name: string, permission: Acl['permission'] = 'allow'): Acl => ({
  resourceType: 'topic',
  pattern: 'literal',
  name,
  principal: 'User:alice',
  host: '*',
  operation: 'READ',
  permission,
});

describe('the change of ACLs', () => {
  test('is none where the target has what is wanted, whoever created it', () => {
    const nothing = { create: [], remove: [], forget: [], unclear: [] };
    expect(diffAcls([acl('a')], [acl('a'), acl('foreign')], [])).toEqual(nothing);
    expect(diffAcls([acl('a')], [acl('a')], [{ acl: acl('a'), phase: 'created' }])).toEqual(nothing);
  });

  test('creates what is missing, also what somebody deleted that we had created', () => {
    expect(diffAcls([acl('a'), acl('b')], [acl('a')], [{ acl: acl('b'), phase: 'created' }]).create).toEqual([
      acl('b'),
    ]);
  });

  test('removes only what we have created, ALLOW before DENY', () => {
    const [allow, deny, foreign] = [acl('a'), acl('b', 'deny'), acl('c')];
    const applied = [deny, allow].map((each) => ({ acl: each, phase: 'created' as const }));
    const { remove } = diffAcls([], [foreign, deny, allow], applied);
    expect(remove).toEqual([allow, deny]);
  });

  test('leaves and names what may be ours or not, and forgets what is gone', () => {
    const applied = [
      { acl: acl('a'), phase: 'intended' as const },
      { acl: acl('b'), phase: 'created' as const },
    ];
    expect(diffAcls([], [acl('a')], applied)).toEqual({
      create: [],
      remove: [],
      forget: [acl('b')],
      unclear: [acl('a')],
    });
  });
});
