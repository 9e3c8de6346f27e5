import { describe, expect, test } from 'vitest';
import { mirrorSchema, type MirrorResource } from '#contract/resources.ts';
import { grantsOf, patternsOfRule, permissionsOf, rightsOf, type RightFacts } from './rights.ts';

const access = (cluster: string) => ({ cluster, bootstrap: `${cluster}:9092`, principal: 'User:mirror', how: '' });
const both = { source: access('east'), target: access('west') };
const literal = (name: string) => ({ name, pattern: 'literal' as const });

function mirror(spec: object = {}): MirrorResource {
  const metadata = { name: 'any' };
  const whole = { source: 'east', target: 'west', topics: [{ match: 'a' }], ...spec };
  return mirrorSchema.parse({ apiVersion: 'lockstep/v1', kind: 'Mirror', metadata, spec: whole });
}

const settled: RightFacts = {
  markersNeedClusterAction: false,
  stateIsMissing: false,
  mirrorIsNew: false,
  topics: [
    {
      source: literal('a'),
      target: literal('a'),
      targetIsMissing: false,
      beginsLater: false,
      mayHaveHoles: false,
      changesConfigs: false,
    },
  ],
};

const named = (facts: RightFacts, spec?: object): string[] =>
  rightsOf(mirror(spec), facts, both).flatMap(({ side, operation, resource, stops }) =>
    stops === 'plan' ? [] : [`${side} ${operation} ${resource}`],
  );

describe('the rights that a mirror needs', () => {
  const always = [
    'source READ a',
    'source DESCRIBE_CONFIGS a',
    'source READ __lockstep.state',
    'target READ __lockstep.state',
    'target WRITE __lockstep.state',
    'target DESCRIBE_CONFIGS __lockstep.state',
    'target WRITE lockstep-',
    'target READ lockstep-',
    'target READ a',
    'target WRITE a',
    'target ALTER_CONFIGS a',
    'target ALTER a',
  ];

  test('are few where all is there and nothing changes', () => {
    expect(named(settled)).toEqual(always);
  });

  test.each<[string, Partial<RightFacts>, Partial<RightFacts['topics'][number]>, string[]]>([
    ['the state topic is missing', { stateIsMissing: true }, {}, ['target CREATE __lockstep.state']],
    ['a target topic is missing', {}, { targetIsMissing: true }, ['target CREATE a']],
    ['a partition begins above offset 0', {}, { beginsLater: true }, ['target DELETE a']],
    ['a topic is compacted', {}, { mayHaveHoles: true }, ['target ALTER kafka-cluster']],
    [
      'a topic is compacted, and the target is older than 3.8',
      { markersNeedClusterAction: true },
      { mayHaveHoles: true },
      ['target CLUSTER_ACTION kafka-cluster'],
    ],
  ])('and one more where %s', (_, facts, topic, more) => {
    const all = named({ ...settled, ...facts, topics: settled.topics.map((each) => ({ ...each, ...topic })) });
    expect(new Set(all)).toEqual(new Set([...always, ...more]));
  });

  test('are others where settings, partitions or transactions are not followed', () => {
    const none = named(settled, { sync: { configs: false, partitions: false } });
    expect(none).toContain('target DESCRIBE_CONFIGS a');
    expect(none).not.toContain('target ALTER_CONFIGS a');
    expect(none).not.toContain('target ALTER a');
    const committed = { transactions: 'committed-only' };
    expect(named(settled, committed)).toContain('target ALTER kafka-cluster');
    expect(named(settled, committed)).not.toContain('target WRITE lockstep-');
    expect(named({ ...settled, mirrorIsNew: true }, committed)).toContain('target WRITE lockstep-');
  });
});

test.each([
  ['orders', undefined, 'literal orders', 'literal orders'],
  ['orders', 'dr.orders', 'literal orders', 'literal dr.orders'],
  [String.raw`/^payments\.(.+)$/`, 'dr.payments.$1', 'prefixed payments.', 'prefixed dr.payments.'],
  [String.raw`/payments\.(.+)/`, undefined, 'prefixed payments.', 'prefixed payments.'],
  ['/orders-?x/', undefined, 'prefixed orders', 'prefixed orders'],
  ['/ab*c/', undefined, 'prefixed a', 'prefixed a'],
  [String.raw`/ab\.?c/`, undefined, 'prefixed ab', 'prefixed ab'],
  ['/a(b|c)d/', undefined, 'prefixed a', 'prefixed a'],
  ['/alpha|beta/', undefined, 'literal *', 'literal *'],
  ['/.*/', '$0.copy', 'literal *', 'literal *'],
  ['/(?i)orders/', undefined, 'literal *', 'literal *'],
])('a rule %s to %s is about %s, copied to %s', (match, to, source, target) => {
  const [rule] = mirror({ topics: [{ match, ...(to === undefined ? {} : { to }) }] }).spec.topics;
  const patterns = patternsOfRule(rule!);
  expect([patterns?.source, patterns?.target].map((each) => `${each?.pattern} ${each?.name}`)).toEqual([
    source,
    target,
  ]);
});

describe('the commands that grant them', () => {
  test('name principal, operations and resources as kafka-acls.sh does', () => {
    const { grants } = permissionsOf(
      mirror({ topics: [{ match: '/dr\\.(.+)/' }], transactions: 'committed-only' }),
      both,
    );
    expect(grants.map(({ command }) => command)).toEqual([
      'kafka-acls.sh --bootstrap-server east:9092 --add --allow-principal User:mirror --operation Read --operation DescribeConfigs --topic dr. --resource-pattern-type prefixed',
      'kafka-acls.sh --bootstrap-server east:9092 --add --allow-principal User:mirror --operation Read --topic __lockstep.state',
      'kafka-acls.sh --bootstrap-server west:9092 --add --allow-principal User:mirror --operation Create --operation Read --operation Write --operation DescribeConfigs --topic __lockstep.state',
      'kafka-acls.sh --bootstrap-server west:9092 --add --allow-principal User:mirror --operation Write --transactional-id lockstep- --resource-pattern-type prefixed',
      'kafka-acls.sh --bootstrap-server west:9092 --add --allow-principal User:mirror --operation Read --group lockstep- --resource-pattern-type prefixed',
      'kafka-acls.sh --bootstrap-server west:9092 --add --allow-principal User:mirror --operation Create --operation Read --operation Write --operation AlterConfigs --operation Alter --operation Delete --topic dr. --resource-pattern-type prefixed',
      'kafka-acls.sh --bootstrap-server west:9092 --add --allow-principal User:mirror --operation Alter --operation DescribeConfigs --cluster',
      'kafka-acls.sh --bootstrap-server east:9092 --add --allow-principal User:mirror --operation Describe --operation DescribeConfigs --cluster',
    ]);
  });

  test('put topics that lack the same into one, and say the worst that comes of it', () => {
    const names = Array.from({ length: 120 }, (_, i) => `t${i}`);
    const facts = { ...settled, topics: names.map((name) => ({ ...settled.topics[0]!, source: literal(name) })) };
    const rights = rightsOf(mirror(), facts, both).filter(
      ({ side, resource, stops }) => side === 'source' && stops !== 'plan' && resource !== '__lockstep.state',
    );
    const grants = grantsOf(rights, both);
    expect(grants.map(({ command }) => command.split('--topic').length - 1)).toEqual([50, 50, 20]);
    expect(grants[2]).toMatchObject({ stops: 'topic', without: ['The topic is not copied.'] });
    expect(grants[2]?.what).toMatch(/^READ, DESCRIBE_CONFIGS on topics "t100", "t101"/);
  });

  test('write User:NAME where only the broker knows the principal', () => {
    const unknown = { ...access('east'), principal: null };
    const { grants } = permissionsOf(mirror(), { source: unknown, target: unknown });
    for (const { command } of grants) expect(command).toContain(' --allow-principal User:NAME ');
  });

  test('keep a shell from reading * as the files of a folder', () => {
    const { grants } = permissionsOf(mirror({ topics: [{ match: '/.*/' }] }), both);
    expect(grants[0]?.command).toContain(" --topic '*'");
  });
});
