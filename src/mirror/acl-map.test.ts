/** The mapping of ACLs against a model of Kafka's decision (org.apache.kafka.metadata.authorizer.StandardAuthorizerData). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TopicRule } from '#contract/resources.ts';
import type { AclSync } from '#contract/sync-settings.ts';
import { compileTopicRules, planTopics, targetOf } from '#contract/topic-rules.ts';
import { aclText, type Acl, type AclOperation } from '#kafka/acls.ts';
import { mapAcls, type AclFacts } from './acl-map.ts';

const policy: AclSync = { match: null, exclude: [], write: 'read', self: null };

// ---- the model: what the authorizer decides, written down independently of the code under test

interface Request {
  readonly principal: string;
  readonly host: string;
  readonly operation: AclOperation;
  readonly resourceType: Acl['resourceType'];
  readonly name: string;
}

function isAllowed(acls: readonly Acl[], request: Request, { isOpen = false } = {}): boolean {
  const about = acls.filter(
    ({ resourceType, pattern, name }) =>
      resourceType === request.resourceType &&
      (pattern === 'prefixed' ? request.name.startsWith(name) : name === '*' || name === request.name),
  );
  if (about.length === 0) return isOpen;
  const of = about.filter(
    ({ principal, host }) => [request.principal, 'User:*'].includes(principal) && [request.host, '*'].includes(host),
  );
  const asks = (acl: Acl, others: readonly string[]): boolean =>
    ['ALL', request.operation, ...others].includes(acl.operation);
  if (of.some((acl) => acl.permission === 'deny' && asks(acl, ['UNKNOWN']))) return false;
  const implying: readonly string[] =
    request.operation === 'DESCRIBE'
      ? ['READ', 'WRITE', 'DELETE', 'ALTER']
      : request.operation === 'DESCRIBE_CONFIGS'
        ? ['ALTER_CONFIGS']
        : [];
  return of.some((acl) => acl.permission === 'allow' && asks(acl, implying));
}

// ---- random clusters

const NAMES = ['a', 'ab', 'ab.c', 'ab.c.d', 'b', 'ba', 'x', 'x.a', 'x.ab', 'x.ab.c', 'y.c', 'dr', '__s'];
const RULES: readonly (readonly TopicRule[])[] = [
  [{ match: '/.*/', to: null }],
  [{ match: '/^ab\\.(.+)$/', to: 'x.ab.$1' }],
  [
    { match: '/^a(.*)/', to: 'x.a$1' },
    { match: 'b', to: 'x.ab' },
  ],
  [{ match: '/.*/', to: 'x.$0' }],
  [
    { match: 'b', to: 'ab' },
    { match: '/a.*/', to: null },
  ],
  [{ match: '/.*/', to: null }, { exclude: '/\\.c/' }],
  [{ match: '/.+/', to: null }, { exclude: 'x' }],
  [
    { match: '/^(.+)\\.c$/', to: 'y.c' },
    { match: 'a', to: null },
  ],
  [
    { match: 'a', to: null },
    { match: 'ab', to: 'x' },
    { match: '__s', to: null },
  ],
];
const OPERATIONS = ['READ', 'WRITE', 'DESCRIBE', 'DESCRIBE_CONFIGS', 'ALTER_CONFIGS', 'DELETE'] as const;
const PRINCIPALS = ['User:alice', 'User:bob', 'User:mirror'];
const HOSTS = ['h1', 'h2'];

const subset = <T>(items: readonly T[]) => fc.subarray([...items]);
const oneOf = <T>(items: readonly T[]) => fc.constantFrom(...items);
const anyAcl: fc.Arbitrary<Acl> = fc
  .record({
    resourceType: oneOf(['topic', 'topic', 'topic', 'group'] as const),
    pattern: oneOf(['literal', 'prefixed'] as const),
    name: oneOf([...NAMES, '*', 'lockstep-1', 'lock']),
    principal: oneOf([...PRINCIPALS, 'User:*']),
    host: oneOf([...HOSTS, '*', '*']),
    operation: oneOf([...OPERATIONS, 'ALL', 'ALL', 'UNKNOWN'] as const),
    permission: oneOf(['allow', 'allow', 'deny'] as const),
  })
  .map((acl) => (acl.name === '*' ? { ...acl, pattern: 'literal' as const } : acl));

const world = fc.record({
  rules: oneOf(RULES),
  source: fc.array(anyAcl, { maxLength: 8 }),
  foreign: fc.array(anyAcl, { maxLength: 3 }),
  onSource: subset(NAMES),
  ownTopics: subset(NAMES),
  notYet: subset(NAMES),
  write: oneOf(['read', 'drop', 'keep'] as const),
  match: oneOf([null, ['User:alice'], ['/User:.*/']]),
  self: oneOf(['User:mirror', 'super-user', null]),
  isDefaultClosed: fc.boolean(),
});

type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

function mappedIn(given: World): { facts: AclFacts; wanted: readonly Acl[] } {
  const topics = given.onSource.map((name) => ({ name, isInternal: false }));
  const planned = planTopics(compileTopicRules(given.rules), topics).pairs;
  // A topic that somebody else has on the target is not copied into; one that was just created is not copied yet.
  const copied = planned.filter(
    ({ source, target }) => !given.ownTopics.includes(target) && !given.notYet.includes(source),
  );
  const facts: AclFacts = {
    source: given.source,
    target: given.foreign,
    topics: {
      rules: given.rules,
      copied,
      onSource: given.onSource,
      onTarget: [...given.ownTopics, ...copied.map(({ target }) => target)],
    },
    self: { principal: given.self, isDefaultClosed: given.isDefaultClosed },
  };
  return { facts, wanted: mapAcls(facts, { ...policy, write: given.write, match: given.match }).wanted };
}

/** Of topics that are copied, of those that will be next, and of those that would be once the source has them. */
function copiesOf(given: World, { topics }: AclFacts): { source: string; target: string }[] {
  const rules = compileTopicRules(given.rules);
  const planned = planTopics(
    rules,
    given.onSource.map((name) => ({ name, isInternal: false })),
  ).pairs;
  return NAMES.flatMap((source) => {
    const target = targetOf(rules, { name: source, isInternal: false })?.target;
    if (target === undefined) return [];
    const copied = topics.copied.find((pair) => pair.target === target);
    const pair = given.onSource.includes(source) ? planned.find((each) => each.source === source) : { target };
    const isCopy = copied ? copied.source === source : pair?.target === target;
    return isCopy && !given.ownTopics.includes(target) ? [{ source, target }] : [];
  });
}

function* requests(given: World, facts: AclFacts): Generator<[Request, Request]> {
  const topics = copiesOf(given, facts).map((pair) => ({ ...pair, resourceType: 'topic' as const }));
  const groups = ['a', 'ab', 'lockstep-1'].map((name) => ({
    source: name,
    target: name,
    resourceType: 'group' as const,
  }));
  for (const { source, target, resourceType } of [...topics, ...groups])
    for (const principal of PRINCIPALS)
      for (const host of HOSTS)
        for (const operation of OPERATIONS) {
          const request = { principal, host, operation, resourceType };
          yield [
            { ...request, name: source },
            { ...request, name: target },
          ];
        }
}

const RUNS = { numRuns: 2_000 };

describe('for random rules, topics and ACLs', () => {
  test('nobody may do on the target because of us what the source refuses', () => {
    let granted = 0;
    fc.assert(
      fc.property(world, (given) => {
        const { facts, wanted } = mappedIn(given);
        for (const [onSource, onTarget] of requests(given, facts)) {
          const isNew = isAllowed([...given.foreign, ...wanted], onTarget) && !isAllowed(given.foreign, onTarget);
          if (!isNew) continue;
          granted++;
          if (!isAllowed(given.source, onSource))
            throw new Error(`${JSON.stringify(onTarget)} is allowed by\n${wanted.map(aclText).join('\n')}`);
        }
      }),
      RUNS,
    );
    expect(granted, 'rights that were copied').toBeGreaterThan(1_000);
  });

  test('with write: keep everything that the source allows on a copied topic is allowed, but for what is left out', () => {
    let kept = 0;
    fc.assert(
      fc.property(world, (given) => {
        const { facts, wanted } = mappedIn({ ...given, notYet: [], write: 'keep', match: null, self: 'super-user' });
        const isLossy = given.source.some(({ operation }) => operation === 'UNKNOWN');
        if (isLossy) return;
        for (const [onSource, onTarget] of requests(given, facts)) {
          if (onSource.resourceType === 'topic' && !given.onSource.includes(onSource.name)) continue;
          if (!isAllowed(given.source, onSource)) continue;
          kept++;
          if (!isAllowed(wanted, onTarget)) throw new Error(`${JSON.stringify(onTarget)} is refused`);
        }
      }),
      RUNS,
    );
    expect(kept).toBeGreaterThan(1_000);
  });

  test('the mirror is not shut out of its copies, groups and transactional ids', () => {
    fc.assert(
      fc.property(world, (given) => {
        if (given.self !== 'User:mirror') return;
        const { facts, wanted } = mappedIn(given);
        const isOpen = !given.isDefaultClosed;
        for (const [, onTarget] of requests(given, facts)) {
          if (onTarget.principal !== 'User:mirror') continue;
          if (onTarget.resourceType === 'group' && !onTarget.name.startsWith('lockstep-')) continue;
          if (!isAllowed(given.foreign, onTarget, { isOpen })) continue;
          if (!isAllowed([...given.foreign, ...wanted], onTarget, { isOpen }))
            throw new Error(`${JSON.stringify(onTarget)} is refused by\n${wanted.map(aclText).join('\n')}`);
        }
      }),
      RUNS,
    );
  });

  test('DENY rules come before all ALLOW rules, and no ACL twice', () => {
    fc.assert(
      fc.property(world, (given) => {
        const { wanted } = mappedIn(given);
        const permissions = wanted.map(({ permission }) => permission);
        expect(permissions).toEqual(permissions.toSorted().toReversed());
        expect(new Set(wanted.map(aclText)).size).toBe(wanted.length);
      }),
      RUNS,
    );
  });
});

// ---- by example

const acl = (given: Partial<Acl>): Acl => ({
  resourceType: 'topic',
  pattern: 'literal',
  name: 'orders',
  principal: 'User:alice',
  host: '*',
  operation: 'READ',
  permission: 'allow',
  ...given,
});

const facts = (
  source: readonly Acl[],
  given: Partial<AclFacts> & { readonly rules?: readonly TopicRule[] } = {},
): AclFacts => {
  const { rules = [{ match: '/(.*)/', to: 'dr.$1' }], ...rest } = given;
  const copied = ['orders', 'payments'].map((name) => ({ source: name, target: `dr.${name}` }));
  return {
    source,
    target: [],
    topics: { rules, copied, onSource: ['orders', 'payments'], onTarget: ['dr.orders', 'dr.payments'] },
    self: { principal: 'User:mirror', isDefaultClosed: true },
    ...rest,
  };
};

const textsOf = (given: AclFacts, own: Partial<AclSync> = {}) =>
  mapAcls(given, { ...policy, ...own }).wanted.map(aclText);

describe('an ACL', () => {
  test.each([
    ['a name', acl({}), ['ALLOW READ on topic dr.orders for User:alice from *']],
    [
      'a beginning',
      acl({ pattern: 'prefixed', name: 'or' }),
      ['ALLOW READ on topic dr.or (prefixed) for User:alice from *'],
    ],
    [
      'every name',
      acl({ name: '*' }),
      ['ALLOW READ on topic dr.orders for User:alice from *', 'ALLOW READ on topic dr.payments for User:alice from *'],
    ],
    ['a topic that is still to come', acl({ name: 'later' }), ['ALLOW READ on topic dr.later for User:alice from *']],
    ['a topic that is not copied', acl({ name: '__consumer_offsets' }), []],
    ['a group', acl({ resourceType: 'group', name: 'g' }), ['ALLOW READ on group g for User:alice from *']],
    [
      'the cluster',
      acl({ resourceType: 'cluster', name: 'kafka-cluster', operation: 'DESCRIBE' }),
      ['ALLOW DESCRIBE on cluster for User:alice from *'],
    ],
    [
      'a delegation token',
      acl({ resourceType: 'delegation-token', name: 't', operation: 'DESCRIBE' }),
      ['ALLOW DESCRIBE on delegation-token t for User:alice from *'],
    ],
  ])('about %s', (_, given, expected) => {
    expect(textsOf(facts([given]))).toEqual(expected);
  });

  test('that denies a topic which was just created stays beside an ALLOW about a beginning of its name', () => {
    const secret = acl({ name: 'orders-secret', permission: 'deny' });
    const given = facts([acl({ pattern: 'prefixed', name: 'orders' }), secret]);
    const denied = 'DENY READ on topic dr.orders-secret for User:alice from *';
    expect(textsOf(given)).toContain(denied);
    const topics = { ...given.topics, onSource: [...given.topics.onSource, 'orders-secret'] };
    expect(textsOf({ ...given, topics })).toEqual([
      denied,
      'ALLOW READ on topic dr.orders (prefixed) for User:alice from *',
    ]);
  });

  test('about a beginning that a rule breaks becomes one for each copied topic, and is named', () => {
    const given = facts([acl({ pattern: 'prefixed', name: 'o' })], { rules: [{ match: '/(.*)s/', to: 'dr.$1s' }] });
    const { wanted, expanded } = mapAcls(given, policy);
    expect(wanted.map(aclText)).toEqual(['ALLOW READ on topic dr.orders for User:alice from *']);
    expect(expanded).toMatchObject([{ acl: { name: 'o' }, reason: expect.stringContaining('do not show') }]);
  });

  test('about a beginning that a foreign topic of the target has as well becomes one for each copied topic', () => {
    const given = facts([acl({ pattern: 'prefixed', name: 'or' })]);
    const topics = { ...given.topics, onTarget: [...given.topics.onTarget, 'dr.orbit'] };
    expect(textsOf({ ...given, topics })).toEqual(['ALLOW READ on topic dr.orders for User:alice from *']);
  });
});

test('nobody is given a target topic that several source topics are copied into', () => {
  const given = facts([acl({}), acl({ name: 'payments' }), acl({ name: '*', principal: 'User:bob' })]);
  const copied = ['orders', 'payments'].map((source) => ({ source, target: 'dr.all' }));
  expect(textsOf({ ...given, topics: { ...given.topics, copied, onTarget: ['dr.all'] } })).toEqual([]);
});

describe('rules that do more than read', () => {
  const writing = acl({ operation: 'WRITE' });
  const all = acl({ operation: 'ALL' });
  const denied = acl({ operation: 'WRITE', permission: 'deny', principal: 'User:bob' });
  const on = 'on topic dr.orders for User:alice from *';

  test.each([
    ['read', [`ALLOW READ ${on}`, `ALLOW DESCRIBE_CONFIGS ${on}`]],
    ['drop', []],
    ['keep', [`ALLOW WRITE ${on}`, `ALLOW ALL ${on}`]],
  ] as const)('follow write: %s; DENY rules always follow', (write, allowed) => {
    const given = facts([writing, all, denied]);
    expect(textsOf(given, { write })).toEqual(['DENY WRITE on topic dr.orders for User:bob from *', ...allowed]);
  });

  test('are named when they are left out', () => {
    const { leftOut } = mapAcls(facts([writing]), policy);
    expect(leftOut).toMatchObject([
      { acl: writing, isChosen: true, reason: expect.stringContaining('sync.acls.write') },
    ]);
  });

  test('only ALLOW rules are chosen by principal', () => {
    const texts = textsOf(facts([acl({}), acl({ principal: 'User:carol' }), denied]), {
      exclude: ['User:carol', 'User:bob'],
    });
    expect(texts).toEqual([
      'DENY WRITE on topic dr.orders for User:bob from *',
      'ALLOW READ on topic dr.orders for User:alice from *',
    ]);
  });
});

describe('the mirror', () => {
  const denyAll = acl({ permission: 'deny', operation: 'READ', principal: 'User:*', host: 'h1' });

  test('does not shut itself out: the DENY, and the ALLOW that it takes from, are named and not copied', () => {
    const { wanted, leftOut } = mapAcls(facts([denyAll, acl({}), acl({ name: 'payments' })]), policy);
    expect(wanted.map(aclText)).toEqual(['ALLOW READ on topic dr.payments for User:alice from *']);
    expect(leftOut).toMatchObject([
      { acl: denyAll, reason: expect.stringContaining('shut the mirror itself out') },
      { acl: acl({}), reason: expect.stringContaining('DENY READ on topic orders for User:* from h1') },
    ]);
    expect(textsOf(facts([denyAll], { self: { principal: 'super-user', isDefaultClosed: false } }))).toHaveLength(1);
  });

  test('is given no rights of its own', () => {
    expect(textsOf(facts([acl({ principal: 'User:mirror', operation: 'READ' })]))).toEqual([]);
  });

  test('lets everybody use all groups where its own are settled by an ACL', () => {
    const every = acl({ resourceType: 'group', name: '*' });
    const open = { self: { principal: 'User:mirror', isDefaultClosed: false } };
    const own = acl({ resourceType: 'group', pattern: 'prefixed', name: 'lockstep-', principal: 'User:mirror' });
    expect(textsOf(facts([every], open))).toEqual([]);
    expect(textsOf(facts([every], { ...open, target: [own] }))).toHaveLength(1);
  });

  test('does not end what lets it in: a first ACL is not made where a default of the brokers may be that', () => {
    const open = { self: { principal: 'User:mirror', isDefaultClosed: false } };
    const { wanted, leftOut } = mapAcls(facts([acl({})], open), policy);
    expect(wanted).toEqual([]);
    expect(leftOut).toMatchObject([
      { acl: acl({}), isChosen: false, reason: expect.stringContaining('sync.acls.self') },
    ]);
    const own = acl({ name: 'dr.orders', principal: 'User:mirror', operation: 'ALL' });
    expect(textsOf(facts([acl({})], { ...open, target: [own] }))).toHaveLength(1);
  });
});
