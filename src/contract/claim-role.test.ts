import { expect, test } from 'vitest';
import { CLAIM_ROLE, parseClaimRole } from './claim-role.ts';

test.each([
  ['groups=kafka-operators:operator', { claim: 'groups', value: 'kafka-operators', role: 'operator' }],
  [
    'https://example.com/groups=Kafka admins:admin',
    { claim: 'https://example.com/groups', value: 'Kafka admins', role: 'admin' },
  ],
  ['groups=cn=ops,ou=a:b:operator', { claim: 'groups', value: 'cn=ops,ou=a:b', role: 'operator' }],
])('%s', (text, of) => {
  expect(parseClaimRole(text)).toEqual(of);
});

test.each(['groups', 'groups=x', 'groups=:admin', '=x:admin', 'groups=x:', 'groups=x:an admin', 'a b=x:admin'])(
  '%j says no role',
  (text) => {
    expect(CLAIM_ROLE.test(text)).toBe(false);
  },
);
