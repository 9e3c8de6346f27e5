/**
 * The house rules that a machine can hold: who imports whom, who reaches for time, randomness, network and disk, and
 * whether documents and tables say the same. Each rule is shown failing on a planted violation first.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { isRoom, lintOverrides, type Room, roomNames, roomOf, rooms, roomViolation } from './rooms.ts';
import { bannedUses, importsOf, tokensOf } from './source-scan.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SKIPPED_FOLDERS = new Set(['node_modules', '.git', '.cache']);
const files = walk('').sort();
const sources = files.filter((path) => /\.(ts|tsx)$/.test(path) && roomOf(path) !== null);

function walk(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : walk(path);
    return entry.isFile() ? [path] : [];
  });
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

describe('rooms', () => {
  test('every file in src belongs to a room of the table', () => {
    expect(files.filter((path) => path.startsWith('src/') && roomOf(path) === null)).toEqual([]);
  });

  test('every import stays within what its room may import', () => {
    expect(sources.flatMap((path) => importViolations(path, read(path)))).toEqual([]);
  });

  test.each([
    ['src/kafka/a.ts', `import { x } from '#jobs/x.ts';`, 'kafka may import util, not jobs'],
    ['src/kafka/a.ts', `import type { X } from '#contract/x.ts';`, 'kafka may import util, not contract'],
    ['src/kafka/a.ts', `export * from '#mirror/x.ts';`, 'kafka may import util, not mirror'],
    ['src/kafka/a.ts', `const x = await import('#store/x.ts');`, 'kafka may import util, not store'],
    ['src/kafka/a.ts', 'const x = await import(`#store/x.ts`);', 'kafka may import util, not store'],
    ['src/kafka/a.ts', `type X = import('#jobs/x.ts').X;`, 'kafka may import util, not jobs'],
    ['src/util/a.ts', `import '#kafka/x.ts';`, 'util may import no other room, not kafka'],
    [
      'src/mirror/a.ts',
      `import {\n  x,\n} from '#forward/x.ts';`,
      'mirror may import jobs, kafka, contract, util, not forward',
    ],
    ['src/mirror/a.ts', `import { x } from '../main.ts';`, 'mirror may import jobs, kafka, contract, util, not main'],
    ['src/server/a.ts', `import { x } from '#cli/x.ts';`, 'not cli'],
    ['src/server/a.ts', `import { x } from '#testing/x.ts';`, 'only tests, bench and demo import testing'],
    ['src/main.ts', `import { x } from '#testing/x.ts';`, 'only tests, bench and demo import testing'],
    ['src/cli/run.ts', `import { x } from '#kafka/x.ts';`, 'cli may import contract, util, main, not kafka'],
    ['src/kafka/a.test.ts', `import { x } from '#jobs/x.ts';`, 'kafka may import util, not jobs'],
    ['src/kafka/a.ts', `import { x } from '../util/x.ts';`, 'another room is imported as #util/'],
    ['test/a.test.ts', `import { x } from '../src/util/x.ts';`, 'another room is imported as #util/'],
    ['src/kafka/a.ts', `import { x } from '../../test/x.ts';`, 'leaves src'],
    ['src/kafka/a.ts', `import { x } from '#nowhere/x.ts';`, '#nowhere is no room'],
    ['src/kafka/a.ts', 'const x = await import(name);', 'import() of something that only the run knows'],
    ['src/kafka/a.ts', `import { Client } from '@platformatic/kafka';`, 'a second opinion in tests only'],
    ['web/app.tsx', `import { x } from '#kafka/x.ts';`, 'web may import contract, not kafka'],
  ])('%s: %s is refused', (path, source, reason) => {
    expect(importViolations(path, source).join('\n')).toContain(reason);
  });

  test.each([
    [
      'src/kafka/a.ts',
      `import { x } from '#util/x.ts'; import y from './y.ts'; import z from '../kafka/z.ts'; import { Buffer } from 'node:buffer';`,
    ],
    ['src/kafka/a.test.ts', `import { x } from '#testing/x.ts'; import { Client } from '@platformatic/kafka';`],
    [
      'src/kafka/a.ts',
      `// import { x } from '#jobs/x.ts'\n/* import('#jobs/x.ts') */ const s = "import('#jobs/x.ts')";`,
    ],
    ['src/kafka/a.ts', 'const s = `import x from "#jobs/x.ts"`; const from = "x";'],
    ['src/cli/run.ts', `import { serve } from '../main.ts';`],
    ['src/main.ts', `import { x } from '#server/x.ts'; import { y } from './mirror/y.ts';`],
    ['src/testing/a.ts', `import { x } from '#mirror/x.ts'; import { setup } from '../../scripts/setup.ts';`],
    ['bench/main.ts', `import { x } from '#testing/x.ts'; import { setup } from '../scripts/setup.ts';`],
  ])('%s: %s is allowed', (path, source) => {
    expect(importViolations(path, source)).toEqual([]);
  });
});

function importViolations(path: string, source: string): string[] {
  return importsOf(tokensOf(source)).flatMap(({ specifier, line }) => {
    const problem = importViolation(path, specifier);
    return problem === null ? [] : [`${problem} (line ${line})`];
  });
}

function importViolation(path: string, specifier: string | null): string | null {
  const room = roomOf(path);
  const isProduct = room !== null && isRoom(room) && room !== 'testing' && !path.endsWith('.test.ts');
  if (specifier === null) return isProduct ? `${path}: import() of something that only the run knows` : null;
  if (specifier === '@platformatic/kafka')
    return isProduct ? `${path}: @platformatic/kafka is a second opinion in tests only` : null;
  if (specifier.startsWith('#')) {
    const target = specifier.slice(1).split('/')[0] ?? '';
    return isRoom(target) ? roomViolation(path, target) : `${path}: #${target} is no room of test/rooms.ts`;
  }
  return specifier.startsWith('.') ? relativeViolation(path, posix.join(posix.dirname(path), specifier)) : null;
}

function relativeViolation(path: string, targetPath: string): string | null {
  const room = roomOf(path);
  const target = roomOf(targetPath);
  if (target === room) return null;
  if (target === 'main' || (room === 'main' && target !== null && isRoom(target))) return roomViolation(path, target);
  if (target !== null && isRoom(target)) return `${path}: another room is imported as #${target}/…`;
  const staysInProduct = path.startsWith('src/') && room !== 'testing' && !path.endsWith('.test.ts');
  return staysInProduct ? `${path}: ${targetPath} leaves src` : null;
}

describe('time, randomness, network and disk are passed in', () => {
  test('no room but util/host.ts and testing reaches for them', () => {
    const bound = sources.filter(mustBeHanded);
    expect(bound.flatMap((path) => bannedUses(tokensOf(read(path))).map((use) => `${path}:${use}`))).toEqual([]);
  });

  test.each([
    ['Date.now()', 'Date.now'],
    ['const f = Date.now;', 'Date.now'],
    ['Date?.now()', 'Date.now'],
    [`Date['now']()`, 'Date.now'],
    ['globalThis.Date.now()', 'Date.now'],
    ['const { now } = Date;', 'Date.now'],
    ['f(...Date.now())', 'Date.now'],
    ['`${Date.now()}`', 'Date.now'],
    ['`a${ `b${ {a: Date.now()} }` }c`', 'Date.now'],
    ['new Date()', 'new Date()'],
    ['new Date( /* now */ )', 'new Date()'],
    ['const d = new Date;', 'new Date()'],
    ['String(Date())', 'Date()'],
    ['performance.now()', 'performance.now'],
    ['globalThis.performance.now()', 'performance.now'],
    ['process.hrtime.bigint()', 'process.hrtime'],
    ['setTimeout(f, 1)', 'setTimeout'],
    ['globalThis.setTimeout(f, 1)', 'setTimeout'],
    ['globalThis?.setInterval(f, 1)', 'setInterval'],
    [`globalThis['setImmediate'](f)`, 'setImmediate'],
    ['const { setInterval } = globalThis;', 'setInterval'],
    ['const later = setTimeout;', 'setTimeout'],
    ['Math.random()', 'Math.random'],
    ['const { random } = Math;', 'Math.random'],
    [`import { connect } from 'node:net';`, 'import of node:net'],
    [`import { connect } from 'net';`, 'import of node:net'],
    [`import * as tls from 'node:tls';`, 'import of node:tls'],
    [`import fs from 'node:fs';`, 'import of node:fs'],
    [`import type { Stats } from 'node:fs';`, 'import of node:fs'],
    [`import { readFile } from 'node:fs/promises';`, 'import of node:fs/promises'],
    [`const dns = await import('node:dns');`, 'import of node:dns'],
    [`import { setTimeout as sleep } from 'node:timers/promises';`, 'import of node:timers/promises'],
    [`import { setTimeout as later } from 'node:timers';`, 'import of node:timers'],
    [`const fs = require('fs');`, 'require()'],
    [`const fs = process.getBuiltinModule('fs');`, 'process.getBuiltinModule'],
    [`import { createRequire } from 'node:module';`, 'import of node:module'],
    [`const quotient = a / b; Date.now(); const other = c / d;`, 'Date.now'],
  ])('%s is found', (source, use) => {
    expect(bannedUses(tokensOf(source)).join('\n')).toContain(use);
  });

  test.each([
    '// Date.now() and setTimeout(f)',
    '/* Math.random()\n performance.now() */',
    `const s = 'Date.now()' + "setTimeout(f)" + 'it\\'s Math.random()';`,
    '`setTimeout(f) ${clock.now()} Date.now()`',
    'const pattern = /Date.now()|setTimeout(f)/;',
    `const quote = /['"\`]/; clock.now(); // Date.now()`,
    'clock.schedule(1, f); clock.now(); random.next();',
    'new Date(ms); new Date(clock.now()).toISOString(); Date.parse(text); Date.UTC(2026, 10); let d: Date;',
    'socket.setTimeout(5); this.setTimeout(f); options.performance.x;',
    'Math.min(1, 2); Math.imul(3, 4);',
    `import { createHash } from 'node:crypto'; import { netmask } from './net.ts';`,
    'const fetchNow = { Date: 1, setTimeout: 2 };',
  ])('%s is nothing', (source) => {
    expect(bannedUses(tokensOf(source))).toEqual([]);
  });

  test('the rule covers every room except the two that hand these things out', () => {
    expect(mustBeHanded('src/kafka/connection.ts')).toBe(true);
    expect(mustBeHanded('src/main.ts')).toBe(true);
    expect(mustBeHanded('src/util/clock.ts')).toBe(true);
    expect(mustBeHanded('src/util/host.ts')).toBe(false);
    expect(mustBeHanded('src/testing/cluster.ts')).toBe(false);
    expect(mustBeHanded('src/kafka/connection.test.ts')).toBe(false);
  });
});

function mustBeHanded(path: string): boolean {
  return (
    path.startsWith('src/') && path !== 'src/util/host.ts' && roomOf(path) !== 'testing' && !path.endsWith('.test.ts')
  );
}

describe('documents', () => {
  const documents = files.filter((path) => path.endsWith('.md'));

  test('every document has one title, at its top', () => {
    expect(
      documents.flatMap((path) => {
        const problem = titleProblem(read(path));
        return problem === null ? [] : [`${path}: ${problem}`];
      }),
    ).toEqual([]);
    expect(titleProblem('text\n# Late\n')).toContain('first line');
    expect(titleProblem('# One\n\n# Two\n')).toContain('2 titles');
    expect(titleProblem('## None\n')).toContain('first line');
    expect(titleProblem('# One\n```\n# a comment in a script\n```\n## Section\n')).toBeNull();
  });

  test('every error code has an entry in docs/errors.md, and every entry a code', async () => {
    const { errorCodes } = (await import(pathToFileURL(join(root, 'src/contract/errors.ts')).href)) as {
      errorCodes: object;
    };
    const codes = Object.keys(errorCodes);
    const documented = codesOf(read('docs/errors.md'));
    expect(codes.length).toBeGreaterThan(0);
    expect(differences(codes, documented)).toEqual([]);
    expect(differences(['A_B', 'C_D'], codesOf('# Errors\n## `A_B`\n## E_F\n'))).toEqual([
      'C_D is not documented',
      'E_F is documented and does not exist',
    ]);
  });

  test('the README names the two commands, and CI runs exactly the second', () => {
    const readme = read('README.md');
    expect(readme).toContain('npm run demo');
    expect(readme).toContain('npm test');
    const commands = read('.ci/run')
      .split('\n')
      .filter((line) => line !== '' && !/^(#|set -|cd )/.test(line));
    expect(commands).toEqual(['npm test']);
  });

  test('ARCHITECTURE.md shows the table of rooms as it is', () => {
    expect(roomTable(read('ARCHITECTURE.md'))).toEqual(shownRooms());
    expect(roomTable('| `src/kafka/` | the wire | util, jobs |')).toEqual({ kafka: 'util, jobs' });
  });

  test('every error code is raised somewhere', async () => {
    const { errorCodes } = (await import(pathToFileURL(join(root, 'src/contract/errors.ts')).href)) as {
      errorCodes: object;
    };
    const text = sources
      .filter((path) => path.startsWith('src/') && !path.endsWith('.test.ts') && path !== 'src/contract/errors.ts')
      .map(read)
      .join('\n');
    const unraised = (codes: readonly string[], within: string): string[] =>
      codes.filter((code) => !within.includes(`'${code}'`));
    expect(unraised(Object.keys(errorCodes), text)).toEqual([]);
    expect(unraised(['A_B', 'C_D'], "throw new AppError('A_B')")).toEqual(['C_D']);
  });

  test('documents point only to files that exist', () => {
    const missing = (path: string, text: string): string[] =>
      targetsOf(text).filter(
        (target) => !existsSync(join(root, dirname(path), target)) && !existsSync(join(root, target)),
      );
    expect(documents.flatMap((path) => missing(path, read(path)).map((target) => `${path}: ${target}`))).toEqual([]);
    expect(missing('README.md', '[a](docs/nowhere.md) and | `test/nowhere.test.ts` |')).toEqual([
      'docs/nowhere.md',
      'test/nowhere.test.ts',
    ]);
  });

  test('the linter forbids what the table of rooms forbids', () => {
    const config = JSON.parse(read('.oxlintrc.json')) as { overrides: { rules: Record<string, unknown> }[] };
    const byRoom = config.overrides.filter((override) => 'no-restricted-imports' in override.rules);
    expect(byRoom).toEqual(lintOverrides());
  });
});

function titleProblem(text: string): string | null {
  const lines = text.replaceAll(/^(```|~~~)[\s\S]*?^\1/gm, '').split('\n');
  const titles = lines.filter((line) => line.startsWith('# '));
  if (!/^# \S/.test(lines[0] ?? '')) return `the first line is not a title: ${lines[0]}`;
  return titles.length === 1 ? null : `${titles.length} titles: ${titles.join(', ')}`;
}

/** Relative links, and tests named as code: `test/x.test.ts`. */
function targetsOf(markdown: string): string[] {
  const links = [...markdown.matchAll(/\]\((?!https?:)([^)#\s]+)/g)];
  const tests = [...markdown.matchAll(/`((?:src|test|scripts)\/[\w./-]+\.test\.ts)`/g)];
  return [...links, ...tests].map((match) => match[1] ?? '');
}

function codesOf(markdown: string): string[] {
  return [...markdown.matchAll(/^## `?([A-Z][A-Z0-9_]+)`?\s*$/gm)].map((match) => match[1] ?? '');
}

function differences(codes: readonly string[], documented: readonly string[]): string[] {
  return [
    ...codes.filter((code) => !documented.includes(code)).map((code) => `${code} is not documented`),
    ...documented.filter((code) => !codes.includes(code)).map((code) => `${code} is documented and does not exist`),
  ];
}

/** Room → last cell of its row: rows begin with `src/room/`, several folders may share one. */
function roomTable(markdown: string): Record<string, string> {
  const table: Record<string, string> = {};
  for (const line of markdown.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    for (const match of (cells[1] ?? '').matchAll(/`(?:src\/(\w+)(?:\.ts|\/)|(web)\/)`/g)) {
      table[match[1] ?? match[2] ?? ''] = cells.at(-2) ?? '';
    }
  }
  return table;
}

function shownRooms(): Record<string, string> {
  const shown = (room: Room): string => {
    const rule: readonly string[] | string = rooms[room];
    return typeof rule === 'string' ? rule : rule.join(', ') || '–';
  };
  return Object.fromEntries(roomNames.map((room) => [room, shown(room)]));
}

describe('the package', () => {
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;

  test('reg-key-in-repo reg-M-134: no private key and no program is in the repository', () => {
    const key = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[\r\n]+[A-Za-z0-9+/=]{40}/;
    const tracked = files.filter((path) => !/\.(db|log)$/.test(path));
    expect(tracked.filter((path) => key.test(read(path)))).toEqual([]);
    const magic = ['\x7fELF', 'MZ', '\xca\xfe\xba\xbe', '#!/'];
    const isShell = (path: string): boolean => path.startsWith('test/acceptance/scripts/') && path.endsWith('.sh');
    const programs = files.filter((path) =>
      magic.some((start) => readFileSync(join(root, path), 'latin1').startsWith(start)),
    );
    expect(programs.filter((path) => !isShell(path)).toSorted()).toEqual([
      '.ci/run',
      'bin/lockstep.js',
      'deploy/verifier/verify_log.py',
    ]);
    const planted = `-----BEGIN PRIVATE KEY-----\n${'A'.repeat(64)}\n`;
    expect(key.test(planted)).toBe(true);
  });

  test('every dependency is pinned to one version', () => {
    const groups = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'];
    expect(groups.flatMap((group) => loosePins(manifest[group] ?? {}))).toEqual([]);
    expect(loosePins({ a: '^1.0.0', b: '1', c: 'latest', d: '1.2.3', e: '>=2.0.0' })).toEqual([
      'a ^1.0.0',
      'b 1',
      'c latest',
      'e >=2.0.0',
    ]);
  });

  test('the lock file holds every optional platform package, without which npm ci refuses', () => {
    const lock = JSON.parse(read('package-lock.json')) as { packages: LockedPackages };
    expect(absentOptionals(lock.packages)).toEqual([]);
    expect(absentOptionals({ 'node_modules/a': { optionalDependencies: { 'a-linux': '1.0.0' } } })).toEqual([
      'a-linux',
    ]);
  });

  test('every room can be imported by its name', () => {
    const existing = roomNames.filter((room) => existsSync(join(root, 'src', room)) && room !== 'main');
    const expected = Object.fromEntries(existing.map((room) => [`#${room}/*`, `./src/${room}/*`]));
    expect(manifest['imports']).toEqual(expected);
  });

  test('no file names a registry host or a path of one machine', () => {
    const texts = files.filter((path) => /\.(ts|tsx|js|json|md|ya?ml|sh|xml|java|properties)$|^[^.]+$|^\./.test(path));
    expect(texts.flatMap((path) => foreignWords(read(path)).map((word) => `${path}: ${word}`))).toEqual([]);
    expect(foreignWords(['see https://', 'registry.', 'npmjs.org/zod'].join(''))).toHaveLength(1);
    expect(foreignWords(['repo1.', 'maven.org'].join(''))).toHaveLength(1);
    expect(foreignWords(`"resolved${'": '}"x"`)).toHaveLength(1);
    expect(foreignWords(['in ', '/home', '/ann/x and ', '/Users', '/ben and C:', '\\Users'].join(''))).toHaveLength(3);
    expect(foreignWords('src/home/page.ts, docs/work/a.md, /api/v1/root/x, ~/work')).toEqual([]);
  });
});

function loosePins(pins: Record<string, string>): string[] {
  return Object.entries(pins).flatMap(([name, pin]) => (/^\d+\.\d+\.\d+$/.test(pin) ? [] : [`${name} ${pin}`]));
}

type LockedPackages = Record<string, { readonly optionalDependencies?: Record<string, string> }>;

function absentOptionals(packages: LockedPackages): string[] {
  const names = new Set(
    Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)),
  );
  return Object.values(packages).flatMap((entry) =>
    Object.keys(entry.optionalDependencies ?? {}).filter((name) => !names.has(name)),
  );
}

/** Written so that this file does not contain what it looks for. */
const FOREIGN = [
  /\b(?:registry\.npmjs|registry\.yarnpkg|repo1?\.maven|proxy\.golang|repo\.maven\.apache)\.\w+/g,
  /"resolve[d]":/g,
  /(?<![\w.~/)-])\/(?:home|Users|root|work)\/[\w.-]+/g,
  /\b[A-Z]:\\Users/g,
];

function foreignWords(text: string): string[] {
  return FOREIGN.flatMap((pattern) => text.match(pattern) ?? []);
}
