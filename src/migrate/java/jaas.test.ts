import { expect, test } from 'vitest';
import { parseJaas } from './jaas.ts';

function read(text: string): [string, Record<string, string>] | null {
  const module = parseJaas(text);
  return module && [module.name, Object.fromEntries(module.options)];
}

const SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule';

test.each([
  [`${SCRAM} required username="a" password="b";`, [SCRAM, { username: 'a', password: 'b' }]],
  [`${SCRAM} REQUIRED\n  username='a'\n  password="b c" ;\n`, [SCRAM, { username: 'a', password: 'b c' }]],
  [
    `${SCRAM} required username=a-b_c.d$ x="1\\"2\\\\3\\t\\101\\477";`,
    [SCRAM, { username: 'a-b_c.d$', x: '1"2\\3\tA\'7' }],
  ],
  [`${SCRAM} required a="b"; // the end`, [SCRAM, { a: 'b' }]],
  [`/* which */ ${SCRAM} required a=";" b="=";`, [SCRAM, { a: ';', b: '=' }]],
  ['"quoted.Module" required;', ['quoted.Module', {}]],
])('%j is a login module', (text, expected) => {
  expect(read(text)).toEqual(expected);
});

test.each([
  ['', 'nothing'],
  [SCRAM, 'no flag'],
  [`${SCRAM} needed a="b";`, 'a flag that there is not'],
  [`${SCRAM} required a="b"`, 'no semicolon'],
  [`${SCRAM} required a;`, 'no value'],
  [`${SCRAM} required a=1;`, 'a number, which StreamTokenizer keeps apart'],
  [`${SCRAM} required a=-b;`, 'a sign'],
  [`${SCRAM} required a=/b/c;`, 'a comment in the place of a value'],
  [`${SCRAM} required a="b"; ${SCRAM} required;`, 'two modules'],
])('%j is refused: %s', (text) => {
  expect(parseJaas(text)).toBeNull();
});
