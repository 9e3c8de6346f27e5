import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compileCondition,
  ConditionError,
  CONDITION_LENGTH_MAX,
  type RecordCondition,
  type RecordFacts,
} from './record-condition.ts';

const EMPTY: RecordFacts = { topic: 'orders', partition: 3, key: null, headers: [], valueBytes: 10, timestamp: 0 };

function facts(given: Partial<RecordFacts> & { text?: string }): RecordFacts {
  const { text, ...rest } = given;
  return { ...EMPTY, ...(text === undefined ? {} : { key: Buffer.from(text) }), ...rest };
}

function header(key: string, value: string | null): RecordFacts['headers'][number] {
  return { key: Buffer.from(key), value: value === null ? null : Buffer.from(value) };
}

function compiled(text: string): RecordCondition {
  const result = compileCondition(text);
  if ('problem' in result) throw new Error(result.problem);
  return result.value;
}

function problemOf(text: string): string {
  const result = compileCondition(text);
  return 'problem' in result ? result.problem : 'none';
}

describe('a condition', () => {
  test.each<[string, Partial<RecordFacts> & { text?: string }, boolean]>([
    ['key == "eu"', { text: 'eu' }, true],
    ['key == "eu"', {}, false],
    ['key == null', {}, true],
    ['key != null && key.startsWith("eu-")', {}, false],
    ['key == b"\\xff\\x00"', { key: Buffer.from([0xff, 0]) }, true],
    ['key == "ä"', { text: 'ä' }, true],
    ['key.matches("^[a-z]+-[0-9]+$")', { text: 'eu-17' }, true],
    ['key in ["a", "b"]', { text: 'b' }, true],
    ['headers["region"] == "eu"', { headers: [header('region', 'us'), header('region', 'eu')] }, true],
    ['headers.region == "eu"', { headers: [header('region', 'eu')] }, true],
    ['"region" in headers', { headers: [] }, false],
    ['has(headers.region)', { headers: [header('region', '')] }, true],
    ['has(headers.region)', { headers: [header('region', null)] }, false],
    ['!("region" in headers) || headers.region == "eu"', {}, true],
    ['headers.trace != "x"', { headers: [{ key: Buffer.from('trace'), value: Buffer.from([0xff]) }] }, true],
    ['int(headers.priority) > 5', { headers: [header('priority', '7')] }, true],
    ['timestamp >= timestamp("2026-01-01T00:00:00Z")', { timestamp: Date.UTC(2026, 0, 1) }, true],
    ['timestamp >= timestamp("2026-01-01T00:00:00Z")', { timestamp: Date.UTC(2026, 0, 1) - 1 }, false],
    ['timestamp < timestamp("1970-01-01T00:00:00Z")', { timestamp: -1 }, true],
    ['timestamp - timestamp(0) < duration("1h")', { timestamp: 3_599_999 }, true],
    ['timestamp.getHours() < 6', { timestamp: 0 }, true],
    ['size > 1000 || deletion', { valueBytes: null }, true],
    ['size == 0', { valueBytes: 0 }, true],
    ['deletion ? partition == 3 : topic == "x"', { valueBytes: null }, true],
    ['topic.endsWith("ers") && size(topic) == 6', {}, true],
  ])('%s of %j', (text, given, expected) => {
    expect(compiled(text)(facts(given))).toBe(expected);
  });

  test.each([
    [
      'key.startsWith("eu-")',
      {},
      'needs text for "startsWith", and the key is missing, or the key or header is not UTF-8',
    ],
    [
      'key.matches("a")',
      { key: Buffer.from([0xff]) },
      'needs text for "matches", and the key is missing, or the key or header is not UTF-8',
    ],
    ['headers["region"] == "eu"', {}, 'asks for a header that is not there: "region"'],
    ['int(headers.n) > 5', { headers: [header('n', 'secret')] }, 'fails in a conversion or a calculation'],
    ['size / (size - 10) == 1', {}, 'fails in a conversion or a calculation'],
  ])('says neither yes nor no: %s of %j, and repeats nothing of the record', (text, given, message) => {
    expect(() => compiled(text)(facts(given))).toThrow(new ConditionError(message));
  });

  test.each([
    ['kye == "a"', 'at character 1: unknown variable "kye"; did you mean "key"?'],
    [
      'size > 1 && value == "a"',
      'at character 13: unknown variable "value" (values are not decoded); known here: key, headers, timestamp, size, deletion, topic, partition',
    ],
    ['size', 'at character 1: gives an int, and has to give true or false'],
    ['key', 'at character 1: gives a string, and has to give true or false'],
    ['key == 3', 'compares a string with an int, which are never equal'],
    ['size > "3"', '">" is not there for int and string'],
    ['key.startWith("a")', 'unknown method "startWith"; did you mean "startsWith"?'],
    ['len(key) > 3', 'unknown function "len"'],
    [
      'headers.exists(h, h == "x")',
      'goes through a list (all, exists, exists_one, map, filter): that is not available',
    ],
    ['[1, 2].all(x, x > 0)', 'goes through a list'],
    ['headers[key] == "a"', 'at character 9: must be the name of a header, in quotes'],
    ['key in headers', 'must be the name of a header, in quotes'],
    ['headers == headers', 'compares headers with headers'],
    ['size(headers) > 1', 'is not there for headers'],
    ['key.matches(topic)', 'must be a regular expression, in quotes'],
    ['key.matches("(a")', 'is no regular expression of RE2'],
    ['key.matches("(?=a)")', 'is no regular expression of RE2'],
    ['timestamp > timestamp("yesterday")', 'can never be evaluated'],
    ['{"a": 1}.a == 1', 'makes a map or a message'],
    ['1u == 1u', 'is a number without a sign'],
    ['key in ["a", 1]', 'is a list of string and int; one type is needed'],
    ['size in ["a"]', 'looks for an int in a list(string)'],
    ['key ==', 'must be CEL: at character'],
    ['', 'must be CEL'],
    ['key.foo == "a"', 'has no field "foo"'],
    ['size == 99999999999999999999', 'is a number beyond 64 bits'],
  ])('is refused: %s', (text, problem) => {
    expect(problemOf(text)).toContain(problem);
    expect(problemOf(text)).not.toBe('none');
  });

  test.each([
    ['parentheses', `${'('.repeat(2_000)}true${')'.repeat(2_000)}`],
    ['choices', `${'true ? ('.repeat(450)}true${') : true'.repeat(45)}`],
    ['whole choices', `${'true ? ('.repeat(200)}true${') : true'.repeat(200)}`],
    ['lists', `1 in ${'['.repeat(2_000)}1${']'.repeat(2_000)}`],
    ['maps', `${'{1:'.repeat(800)}1${'}'.repeat(800)} == 1`],
    ['calls', `${'size('.repeat(500)}key${')'.repeat(500)} > 1`],
    ['indexes', `${'headers['.repeat(400)}"a"${']'.repeat(400)} == "a"`],
    ['open parentheses', '('.repeat(4_000)],
    ['operators', 'key + '.repeat(600)],
    ['repetitions of repetitions', 'key.matches("((a{100}){100}){100}")'],
    ['a long text', `key == "${'a'.repeat(CONDITION_LENGTH_MAX)}"`],
  ])('of many %s is refused at once', (_, text) => {
    const startedMs = performance.now();
    expect(problemOf(text)).not.toBe('none');
    expect(performance.now() - startedMs).toBeLessThan(2_000);
  });

  test('has a cost of its length times the size of the record, whatever it says', () => {
    const list = compiled(`key in [${Array.from({ length: 600 }, (_, i) => `"${i}"`).join(',')}]`);
    const record = facts({ text: 'a'.repeat(50_000) });
    const catastrophic = ['^(a+)+$', '^(a|aa)+$', '(a*)*b', '^(([a-z])+.)+[A-Z]([a-z])+$', '(.*)(.*)(.*)(.*)(.*)[0-9]'];
    const startedMs = performance.now();
    expect(list(record)).toBe(false);
    for (const pattern of catastrophic)
      compiled(`key.matches("${pattern}")`)(facts({ text: `${'a'.repeat(50_000)}!` }));
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });

  test('agrees with plain JavaScript on any record', () => {
    const text = fc.oneof(
      fc.constantFrom('eu', 'us', 'eu-1', 'test', ''),
      fc.string({ maxLength: 5, unit: 'grapheme' }),
    );
    const value = fc.option(text, { nil: null });
    const record = fc.record({
      key: value,
      headers: fc.array(fc.tuple(fc.constantFrom('region', 'kind', 'other'), value), { maxLength: 4 }),
      valueBytes: fc.option(fc.nat({ max: 2_000 }), { nil: null }),
      timestamp: fc.integer({ min: -1, max: 4_102_444_800_000 }),
    });
    const since = Date.UTC(2026, 0, 1);
    type Plain = {
      key: string | null;
      header: (name: string) => string | null;
      valueBytes: number | null;
      timestamp: number;
    };
    const pairs: [RecordCondition, (record: Plain) => boolean][] = [
      [compiled('key == "eu"'), ({ key }) => key === 'eu'],
      [compiled('key != null && key.startsWith("eu")'), ({ key }) => key?.startsWith('eu') === true],
      [
        compiled('key in ["eu", "us"] || deletion'),
        ({ key, valueBytes }) => key === 'eu' || key === 'us' || valueBytes === null,
      ],
      [compiled('has(headers.region) && headers.region == "eu"'), ({ header: of }) => of('region') === 'eu'],
      [
        compiled('!(has(headers.kind) && headers.kind.matches("^(e|t).*$")) && size < 1000'),
        ({ header: of, valueBytes }) => !/^(?:e|t).*$/.test(of('kind') ?? '') && (valueBytes ?? 0) < 1000,
      ],
      [
        compiled('timestamp >= timestamp("2026-01-01T00:00:00Z") ? size > 10 : key != null'),
        ({ key, timestamp, valueBytes }) => (timestamp >= since ? (valueBytes ?? 0) > 10 : key !== null),
      ],
    ];
    fc.assert(
      fc.property(record, (given) => {
        const plain: Plain = {
          ...given,
          header: (name) => given.headers.findLast(([key]) => key === name)?.[1] ?? null,
        };
        const seen = facts({
          ...given,
          key: given.key === null ? null : Buffer.from(given.key),
          headers: given.headers.map(([key, each]) => header(key, each)),
        });
        expect(pairs.map(([condition]) => condition(seen))).toEqual(pairs.map(([, predicate]) => predicate(plain)));
      }),
      { numRuns: 2_000 },
    );
  });
});
