/** The `lockstep` command as a process: what a shell sees of it. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const command = join(dirname(dirname(fileURLToPath(import.meta.url))), 'bin', 'lockstep.js');
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lockstep-cli-'));
  const cluster = (name: string) =>
    `apiVersion: lockstep/v1\nkind: Cluster\nmetadata: { name: ${name} }\nspec: { bootstrap: ['127.0.0.1:1'] }\n`;
  writeFileSync(join(folder, 'good.yaml'), `${cluster('east')}---\n${cluster('west')}`);
  writeFileSync(join(folder, 'bad.yaml'), `${cluster('east')}colour: blue\n`);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function lockstep(argv: readonly string[], env: Record<string, string> = {}) {
  const { FORCE_COLOR: _, NO_COLOR: __, LOCKSTEP_DEBUG: ___, ...rest } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...argv], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...rest, ...env },
  });
  return { status, stdout, stderr };
}

test('a valid file exits with 0, a broken one with 2 and its place', () => {
  expect(lockstep(['validate', '-f', 'good.yaml'])).toEqual({
    status: 0,
    stdout: 'valid: 2 clusters, 0 mirrors\n',
    stderr: '',
  });
  expect(lockstep(['validate', '-f', 'bad.yaml'])).toEqual({
    status: 2,
    stdout: '',
    stderr:
      'CONFIG_INVALID: bad.yaml:5:1: unknown key "colour"; known here: apiVersion, kind, metadata, spec\nnext: Correct this and try "lockstep validate" again.\n',
  });
});

test('stack traces appear only where they are asked for', () => {
  const quiet = lockstep(['validate', '-f', 'none.yaml']);
  expect(quiet.stderr).not.toContain('    at ');
  expect(quiet.status).toBe(2);
  expect(lockstep(['validate', '-f', 'none.yaml'], { LOCKSTEP_DEBUG: '1' }).stderr).toContain('    at ');
});

test('colours follow FORCE_COLOR, and NO_COLOR takes them away', () => {
  expect(lockstep(['validate', '-f', 'good.yaml'], { FORCE_COLOR: '1' }).stdout).toContain('\u001B[32mvalid');
  expect(lockstep(['validate', '-f', 'good.yaml'], { NO_COLOR: '1' }).stdout).toMatch(/^valid/);
});

test('a bug that nobody waits for ends the command with one message', () => {
  const planted =
    'import { Socket } from "node:net"; Socket.prototype.connect = () => queueMicrotask(() => { throw new TypeError("planted"); });';
  const argv = ['--import', `data:text/javascript,${planted}`, command, 'clusters', 'list', '-f', 'good.yaml'];
  const { status, stderr } = spawnSync(process.execPath, argv, {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(stderr).toBe(
    'INTERNAL: planted\nnext: This is a bug of Lockstep: run it again with LOCKSTEP_DEBUG=1 and report what it prints.\n',
  );
  expect(status).toBe(1);
});

test('a reader that goes away ends the command without a stack trace', async () => {
  const child = spawn(process.execPath, [command, '--help'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(stderr).toBe('');
  expect([0, 130]).toContain(code);
});

test('what migrate writes is valid, and a shell completes the real commands', () => {
  const fixture = join(dirname(command), '../test/fixtures/migrate/active-active.properties');
  const migrated = lockstep(['migrate', 'mm2', fixture, '--out', 'migrated.yaml']);
  expect([migrated.status, migrated.stderr]).toEqual([5, '']);
  expect(migrated.stdout).toContain('2 clusters, 2 mirrors in migrated.yaml');
  expect(lockstep(['validate', '-f', 'migrated.yaml'])).toMatchObject({
    status: 0,
    stdout: 'valid: 2 clusters, 2 mirrors\n',
  });
  const { stdout } = lockstep(['completion', 'bash']);
  const script = `${stdout}\nCOMP_WORDS=(lockstep migrate k); COMP_CWORD=2; _lockstep; echo "\${COMPREPLY[*]}"`;
  expect(spawnSync('bash', ['-c', script], { encoding: 'utf8' })).toMatchObject({ stdout: 'kaf-mirror\n', stderr: '' });
});
