import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import {
  assign,
  ASSIGNMENT_VERSION,
  decodeAssignment,
  decodeReport,
  encodeAssignment,
  encodeReport,
  GROUP_BYTES_MAX,
  hasRoomForLevels,
  type GroupView,
  type MemberReport,
} from './assignment.ts';
import { shardName, type ShardName } from './shard-ranges.ts';

const TOPIC = 'AAAAAAAAAAAAAAAAAAAAAQ';
const OTHER_TOPIC = 'AAAAAAAAAAAAAAAAAAAAAg';
const CONTENT = 'same';

const shards = (count: number, topic = TOPIC): ShardName[] =>
  Array.from({ length: count }, (_, p) => shardName(topic, p));
const report = (change: Partial<MemberReport> = {}): MemberReport => ({
  name: 'host',
  content: CONTENT,
  isTaking: true,
  generation: 4,
  claims: new Set(),
  released: new Set(),
  levels: new Map(),
  ...change,
});
const view = (members: Record<string, MemberReport | null>, all = shards(6)): GroupView => ({
  generation: 5,
  shards: new Set(all),
  leader: { name: 'host', content: CONTENT },
  members: new Map(Object.entries(members)),
  levels: new Map(),
});
const dealt = (state: GroupView): Record<string, string[]> =>
  Object.fromEntries(
    [...assign(state)].map(([memberId, assignment]) => [
      memberId,
      [...assignment.shards].map(([name, takeover]) => `${name.slice(23)} ${takeover}`),
    ]),
  );

describe('a shard that nobody claims', () => {
  test('is given away as evicted when nobody says how it became free', () => {
    expect(dealt(view({ a: report(), b: report() }, shards(3)))).toEqual({
      a: ['0 evicted', '1 evicted'],
      b: ['2 evicted'],
    });
  });

  test('is handed over when one who had it in the last generation has released it', () => {
    const a = report({ claims: new Set(shards(1)), released: new Set([shardName(TOPIC, 1)]) });
    expect(dealt(view({ a, b: report() }, shards(2)))).toEqual({ a: ['0 handed-over'], b: ['1 handed-over'] });
  });

  test('is evicted when it was released before a generation that the one who had it does not know', () => {
    const a = report({ generation: 3, released: new Set(shards(2)) });
    expect(dealt(view({ a, b: report() }, shards(2)))).toEqual({ a: ['0 evicted'], b: ['1 evicted'] });
  });

  test('goes to nobody while the report of a member cannot be read, and those that are claimed stay', () => {
    const a = report({ claims: new Set(shards(1)) });
    expect(dealt(view({ a, b: null }))).toEqual({ a: ['0 handed-over'], b: [] });
  });
});

describe('a shard that somebody claims', () => {
  test('goes to nobody else, and is taken from who has too many', () => {
    const a = report({ claims: new Set(shards(6)) });
    expect(dealt(view({ a, b: report() }))).toEqual({ a: ['0 handed-over', '1 handed-over', '2 handed-over'], b: [] });
  });

  test('stays where it is, also when the leader does not know it', () => {
    const a = report({ claims: new Set([shardName(OTHER_TOPIC, 7)]) });
    expect(dealt(view({ a }, []))).toEqual({ a: ['7 handed-over'] });
  });

  test('is nobody’s when two claim it', () => {
    const claims = new Set(shards(1));
    expect(dealt(view({ a: report({ claims }), b: report({ claims }) }, shards(1)))).toEqual({ a: [], b: [] });
  });
});

describe('what shards cost', () => {
  const costs = (levels: readonly (number | null)[]): GroupView['levels'] =>
    new Map(
      levels.flatMap((level, p): [ShardName, number][] => (level === null ? [] : [[shardName(TOPIC, p), level]])),
    );

  test('decides how many each gets', () => {
    const state = { ...view({ a: report(), b: report() }, shards(5)), levels: costs([0, 0, 12, 0, 0]) };
    expect(dealt(state)).toEqual({
      a: ['2 evicted'],
      b: ['0 evicted', '1 evicted', '3 evicted', '4 evicted'],
    });
  });

  test('is taken for that of the others where nobody knows it', () => {
    const a = report({ claims: new Set(shards(1)) });
    const state = { ...view({ a, b: report() }, shards(4)), levels: costs([20, null, null, null]) };
    expect(dealt(state)).toEqual({ a: ['0 handed-over', '1 evicted'], b: ['2 evicted', '3 evicted'] });
  });

  test('takes from who has the most what makes both more equal', () => {
    const [a, b] = [report({ claims: new Set(shards(4)) }), report({ claims: new Set([shardName(TOPIC, 4)]) })];
    const state = { ...view({ a, b }, shards(5)), levels: costs([24, 16, 20, 16, 8]) };
    expect(dealt(state)).toEqual({ a: ['0 handed-over'], b: ['4 handed-over'] });
  });
});

describe('a member', () => {
  test('that is about to leave, or runs another file, gives up what it has', () => {
    const claims = new Set(shards(1));
    const state = view(
      { a: report(), b: report({ isTaking: false }), c: report({ content: 'other', claims }) },
      shards(2),
    );
    expect(dealt(state)).toEqual({ a: ['1 evicted'], b: [], c: [] });
    expect(assign(state).get('c')?.refusal).toEqual({ leader: 'host', content: CONTENT });
    expect(assign(state).get('a')?.refusal).toBeNull();
  });
});

/** Members as a group could have them: what each claims is its own. */
const views = fc
  .record({
    count: fc.integer({ min: 0, max: 60 }),
    unknown: fc.integer({ min: 0, max: 5 }),
    owners: fc.array(fc.integer({ min: -1, max: 5 }), { minLength: 65, maxLength: 65 }),
    members: fc.array(fc.record({ isTaking: fc.boolean(), generation: fc.integer({ min: 2, max: 4 }) }), {
      minLength: 1,
      maxLength: 6,
    }),
    content: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
    damaged: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 6, maxLength: 6 }),
  })
  .map(({ count, unknown, owners, members, content, damaged }) => {
    const all = shards(count + unknown);
    const entries = members.map((member, index): [string, MemberReport | null] => [
      `m${index}`,
      damaged[index] === 0
        ? null
        : report({
            ...member,
            content: content[index] ? CONTENT : 'other',
            claims: new Set(all.filter((_, place) => owners[place] === index)),
            levels: new Map(
              all.filter((_, place) => owners[place] === index && place % 3 > 0).map((each) => [each, 5]),
            ),
          }),
    ]);
    return { ...view({}, all.slice(0, count)), members: new Map(entries) };
  });

/** Everybody has done what it was told, and joins again. */
function afterRound(state: GroupView): GroupView {
  const assignments = assign(state);
  const claiming = [...state.members].map(([memberId, member]): [string, MemberReport] => {
    const claims = new Set(must(assignments.get(memberId), 'assignment').shards.keys());
    return [memberId, { ...must(member, 'report'), claims }];
  });
  return { ...state, members: new Map(claiming) };
}

describe('among members as they come', () => {
  test('no shard has two owners, and none is given to another than the one who claims it', () => {
    fc.assert(
      fc.property(views, (state) => {
        const owners = new Map<ShardName, string>();
        for (const [memberId, assignment] of assign(state)) {
          for (const shard of assignment.shards.keys()) {
            expect(owners.has(shard)).toBe(false);
            owners.set(shard, memberId);
          }
        }
        for (const [memberId, member] of state.members)
          for (const shard of member?.claims ?? []) expect([undefined, memberId]).toContain(owners.get(shard));
      }),
    );
  });

  test('all is dealt out to within one shard once what is to be released has been released, and then stays', () => {
    fc.assert(
      fc.property(views, (state) => {
        if ([...state.members.values()].includes(null)) return;
        let now: GroupView = state;
        let before = '';
        // A shard that only its owner knows is gone when it is released, and all is divided anew: one round for each.
        for (let rounds = 0; before !== JSON.stringify(dealt(now)); rounds++) {
          expect(rounds).toBeLessThan(10);
          before = JSON.stringify(dealt(now));
          now = afterRound(now);
        }
        const takers = [...now.members].filter(([, member]) => member?.isTaking && member.content === CONTENT);
        const loads = takers.map(([memberId]) => must(assign(now).get(memberId), 'assignment').shards.size);
        const all = new Set([...assign(now).values()].flatMap(({ shards: given }) => [...given.keys()]));
        expect(takers.length === 0 || Math.max(...loads) - Math.min(...loads) <= 1).toBe(true);
        expect([...state.shards].filter((shard) => takers.length > 0 && !all.has(shard))).toEqual([]);
      }),
    );
  });

  test('who has no more than its share keeps all of it', () => {
    fc.assert(
      fc.property(views, (state) => {
        const assignments = assign(state);
        const takers = [...state.members].filter(([, member]) => member?.isTaking && member.content === CONTENT);
        const all = new Set([
          ...state.shards,
          ...[...state.members.values()].flatMap((member) => [...(member?.claims ?? [])]),
        ]);
        for (const [memberId, member] of takers) {
          const claims = [...(member?.claims ?? [])];
          const kept = claims.filter((shard) => assignments.get(memberId)?.shards.has(shard)).length;
          expect(kept).toBeGreaterThanOrEqual(Math.min(claims.length, Math.floor(all.size / takers.length)));
        }
      }),
    );
  });

  test('the order in which they are told makes no difference', () => {
    fc.assert(
      fc.property(views, (state) => {
        const turned = { ...state, members: new Map([...state.members].toReversed()) };
        expect(dealt(turned)).toEqual(dealt(state)); // an object's keys have no order here
      }),
    );
  });
});

describe('what is written down', () => {
  test('is read back as it was', () => {
    fc.assert(
      fc.property(views, (state) => {
        const reports = [...state.members.values()].filter((member) => member !== null);
        for (const member of reports) expect(decodeReport(encodeReport(member))).toEqual(member);
        for (const assignment of assign(state).values())
          expect(decodeAssignment(encodeAssignment(assignment))).toEqual({
            ...assignment,
            shards: new Map([...assignment.shards].sort(([, a], [, b]) => (a > b ? -1 : a < b ? 1 : 0))),
          });
      }),
    );
  });

  test('is not read when it is of another version, damaged, or goes on', () => {
    const whole = encodeReport(report({ claims: new Set([...shards(9), ...shards(3, OTHER_TOPIC)]) }));
    const later = Buffer.from(whole);
    later.writeInt16BE(ASSIGNMENT_VERSION + 1);
    expect(decodeReport(later)).toBeNull();
    expect(decodeReport(Buffer.concat([whole, Buffer.of(0)]))).toBeNull();
    for (let length = 0; length < whole.length; length++) expect(decodeReport(whole.subarray(0, length))).toBeNull();
    const levelled = encodeReport(report({ claims: new Set(shards(9)), levels: new Map([[shardName(TOPIC, 0), 7]]) }));
    expect(decodeReport(levelled)?.levels).toEqual(new Map([[shardName(TOPIC, 0), 7]]));
    for (const [back, byte] of [
      [1, 200], // no such level
      [2, 9], // of more shards than are claimed
      [2, 0], // of none
    ] as const) {
      const wrong = Buffer.from(levelled);
      wrong[wrong.length - back] = byte;
      expect(decodeReport(wrong), `${back} ${byte}`).toBeNull();
    }
  });

  test('claims no more shards than there can be', () => {
    const endless = Buffer.concat([
      encodeReport(report()).subarray(0, -2),
      Buffer.concat([Buffer.of(1), Buffer.alloc(16, 1), Buffer.of(1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f), Buffer.of(0)]),
    ]);
    expect(decodeReport(endless)).toBeNull();
  });

  test('says no shard so often that reading takes long', () => {
    const range = Buffer.concat([Buffer.alloc(16, 1), Buffer.of(1, 0, 0xc0, 0xc4, 0x07)]); // 123,456 of one topic
    const again = Array.from({ length: 100 }, () => range);
    const claims = (count: number): Buffer =>
      Buffer.concat([encodeReport(report()).subarray(0, -2), Buffer.of(count), ...again.slice(0, count), Buffer.of(0)]);
    const levels = Buffer.of(0xc0, 0xc4, 0x07, 0);
    expect(decodeReport(Buffer.concat([claims(1), levels]))?.claims.size).toBe(123_456);
    expect(decodeReport(Buffer.concat([claims(100), levels]))).toBeNull();
  });

  test('has room for 20,000 shards of 20 members, each second one somebody else’s', () => {
    const all = shards(20_000);
    const members = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [
        `lockstep-${index}-00000000-0000-0000-0000-000000000000`,
        report({ claims: new Set(all.filter((_, place) => place % 20 === index)) }),
      ]),
    );
    const state = view(members, all);
    const bytes = [
      ...[...state.members.values()].map((member) => encodeReport(must(member, 'report')).length),
      ...[...assign(state).values()].map((assignment) => encodeAssignment(assignment).length),
    ].reduce((sum, length) => sum + length, 0);
    expect(bytes).toBeGreaterThan(20_000);
    expect(bytes).toBeLessThan(GROUP_BYTES_MAX);
  });

  test.each([
    [5_000, 10, true],
    [7_000, 10, true],
    [9_500, 10, false],
    [12_500, 3, false],
    [4_000, 25, true],
    [20, 6_000, true],
  ])(
    'with %d topics of %d partitions fits with what they cost where it fits without, or does not say it',
    (topics, count, isTold) => {
      const all = Array.from({ length: topics }, (_, topic) => {
        const id = Buffer.alloc(16, 1);
        id.writeInt32BE(topic);
        return shards(count, id.toString('base64url'));
      }).flat();
      const costs = new Map(all.map((shard, at) => [shard, (at * 7919) % 61]));
      expect(hasRoomForLevels(new Set(all))).toBe(isTold);
      const levels = isTold ? costs : new Map<ShardName, number>();
      const assigned = new Map(all.map((shard) => [shard, 'handed-over' as const]));
      const bytes =
        encodeReport(report({ claims: new Set(all), levels })).length +
        encodeAssignment({ shards: assigned, refusal: null }).length;
      expect(bytes).toBeLessThan(GROUP_BYTES_MAX);
    },
  );
});
