/** docs/resources.md against the schemas: every key is documented, every documented key is there, with the default that is said. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { clusterSchema, mirrorSchema } from './resources.ts';

const docs = join(import.meta.dirname, '..', '..', 'docs');
/** Without the kinds that have tests of their own. */
const text = readFileSync(join(docs, 'resources.md'), 'utf8').replace(/^## Verify\n[^]*/m, '');
const groupsText = readFileSync(join(docs, 'groups.md'), 'utf8');

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly default?: unknown;
}

/** `security.protocol`, `topics[].match`, with their defaults. What a reference to a secret consists of is left out. */
function keysOf(schema: z.ZodType): Map<string, unknown> {
  const keys = new Map<string, unknown>();
  const walk = (each: JsonSchema, path: string): void => {
    for (const form of each.anyOf ?? []) walk(form, path);
    if (each.items) walk(each.items, `${path}[]`);
    for (const [name, value] of Object.entries(each.properties ?? {})) {
      if (name === 'env' || (name === 'file' && path !== 'spec.security.token')) continue;
      const key = path === '' ? name : `${path}.${name}`;
      keys.set(key, value.default);
      walk(value, key);
    }
  };
  walk(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema, '');
  return new Map([...keys].flatMap(([key, value]) => (key.startsWith('spec.') ? [[key.slice(5), value]] : [])));
}

const cluster = keysOf(clusterSchema);
const mirror = keysOf(mirrorSchema);

/** Rows of the tables whose first column is a key: its path, and the cell of its default. */
function documented(): { readonly of: 'cluster' | 'mirror'; readonly key: string; readonly byDefault: string }[] {
  const rows: ReturnType<typeof documented> = [];
  let of: 'cluster' | 'mirror' = 'cluster';
  let prefix = '';
  let isTable = false;
  for (const line of text.split('\n')) {
    const section = /^\*\*.*\(`(sync\.\w+)`\)/.exec(line)?.[1];
    if (section !== undefined) prefix = `${section}.`;
    if (line.startsWith('| Key of `spec`')) {
      of = rows.length === 0 ? 'cluster' : 'mirror';
      prefix = '';
    }
    if (line.startsWith('| Key')) isTable = true;
    else if (!line.startsWith('|')) isTable = false;
    else if (isTable && !line.startsWith('|--')) {
      const [, names = '', , byDefault = ''] = line.split(' | ').flatMap((cell, i) => (i === 0 ? ['', cell] : [cell]));
      for (const [, name = ''] of names.matchAll(/`([^`]+)`/g)) rows.push({ of, key: prefix + name, byDefault });
    }
  }
  return rows;
}

const rows = documented();
const schemaOf = { cluster, mirror };
/** Named in the text, with their forms: rules, tokens, times to start at, groups; `filters` is refused by name. */
const IN_TEXT =
  /^(?:topics\[\]|start|security\.token|sync\.quotas|sync\.groups)\.|^(?:sync|security|advertised|filters)$/;

describe('docs/resources.md', () => {
  test('has no key that is not there', () => {
    expect(rows.length).toBeGreaterThan(25);
    const unknown = rows.filter(({ of, key }) => !schemaOf[of].has(key) && !/^sync\.\w+$/.test(key));
    expect(unknown).toEqual([]);
  });

  test.each(['cluster', 'mirror'] as const)('has every key of a %s', (of) => {
    const known = new Set(rows.filter((row) => row.of === of).map(({ key }) => key));
    const missing = [...schemaOf[of].keys()].filter((key) => !known.has(key) && !IN_TEXT.test(key));
    expect(missing).toEqual([]);
    for (const key of [...schemaOf[of].keys()].filter((each) => each.includes('.') && IN_TEXT.test(each))) {
      const name = key.split('.').at(-1) ?? key;
      const isNamed = new RegExp(`(?:\`|^\\s*|[{(,] ?)${name.replace('[]', '')}(?:\`|:)`, 'm');
      expect(`${text}\n${groupsText}`, key).toMatch(isNamed);
    }
  });

  test('says each default as it is', () => {
    const wrong = rows.flatMap(({ of, key, byDefault }) => {
      const value = schemaOf[of].get(key);
      const said = /`([^`]+)`/.exec(byDefault)?.[1];
      if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return [];
      const wanted = Array.isArray(value) ? value.join(', ') : `${value as string | number | boolean}`;
      return said === wanted ? [] : [{ key, said, wanted }];
    });
    expect(wrong).toEqual([]);
    const groups = mirrorSchema.parse(document({ sync: { groups: { match: ['x'] } } })).spec.sync.groups;
    for (const [key, value] of Object.entries({ ...groups }).filter(([, each]) => !Array.isArray(each)))
      expect(groupsText, key).toMatch(new RegExp(`\\b${key}: ${String(value)}\\b`));
  });

  test('names keys that a file may have, each with a value that changes what is read', () => {
    const plain = JSON.stringify(mirrorSchema.parse(document({})));
    const values: Readonly<Record<string, unknown>> = {
      offsets: 'mapped',
      onMisalignment: 'map',
      start: 'latest',
      transactions: 'committed-only',
      timestamps: 'producer',
      'sync.configs': false,
      'sync.configs.exclude': ['a'],
      'sync.configs.defaultsFrom': 'source',
      'sync.configs.allowWeaker': true,
      'sync.partitions': false,
      'sync.groups': { match: ['a'] },
      'sync.acls': true,
      'sync.acls.match': ['a'],
      'sync.acls.exclude': ['a'],
      'sync.acls.write': 'keep',
      'sync.acls.self': 'super-user',
      'sync.quotas': true,
      'sync.users': true,
      refreshMs: 100,
      targetReplicationFactor: 3,
    };
    const optional = rows.filter(({ of, key }) => of === 'mirror' && !['source', 'target', 'topics'].includes(key));
    expect(optional.map(({ key }) => key).toSorted()).toEqual(Object.keys(values).toSorted());
    for (const [key, value] of Object.entries(values)) {
      const nested = key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
      expect(JSON.stringify(mirrorSchema.parse(document(nested as object))), key).not.toBe(plain);
    }
  });
});

function document(spec: object): object {
  return {
    apiVersion: 'lockstep/v1',
    kind: 'Mirror',
    metadata: { name: 'm' },
    spec: { source: 'a', target: 'b', topics: [{ match: 'orders' }], ...spec },
  };
}

test('names of clusters and mirrors take no special character, and each is refused by its name', () => {
  const special = Array.from(' !"#$%&\'()*+,/:;<=>?@[\\]^_`{|}~äŁ😀\t\n');
  for (const character of special)
    for (const [kind, schema] of [
      ['Cluster', clusterSchema],
      ['Mirror', mirrorSchema],
    ] as const) {
      const name = `a${character}b`;
      const spec = kind === 'Cluster' ? { bootstrap: ['a:1'] } : { source: 'a', target: 'b', topics: [{ match: 'x' }] };
      const parsed = schema.safeParse({ apiVersion: 'lockstep/v1', kind, metadata: { name }, spec });
      const found = parsed.error?.issues.map(({ path, message }) => `${path.join('.')} ${message}`);
      expect(found, JSON.stringify(name)).toEqual([
        expect.stringMatching(/^metadata\.name must be a name of up to 100 small letters/),
      ]);
    }
});
