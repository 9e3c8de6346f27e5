/** The real command in front of a real `lockstep serve`: set up by commands alone, as somebody does who has no browser. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Secret, TOTP } from 'otpauth';
import { onTestFinished } from 'vitest';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { ControlServer } from './control-server.ts';
import type { ScriptServer } from './remote-cli.ts';
import { readFileSync } from 'node:fs';

const command = join(import.meta.dirname, '..', '..', 'bin', 'lockstep.js');
const ADMIN = 'ada';
const PASSWORD = 'gravel-otter-pinwheel-sunday';

export interface Shell {
  /** Throws where it does not end with 0. */
  json(argv: readonly string[], input?: string): unknown;
  run(
    argv: readonly string[],
    input?: string,
  ): { readonly code: number | null; readonly out: string; readonly err: string };
}

/** In the directory of the server, with contexts of its own. */
export function shellIn(cwd: string): Shell {
  const { FORCE_COLOR: _, NO_COLOR: __, LOCKSTEP_DEBUG: ___, ...rest } = process.env;
  const env = { ...rest, HOME: temporaryDirectory('shell'), XDG_CONFIG_HOME: '' };
  const run: Shell['run'] = (argv, input = '') => {
    const ended = spawnSync(process.execPath, [command, ...argv], { cwd, env, input, encoding: 'utf8' });
    return { code: ended.status, out: ended.stdout, err: ended.stderr };
  };
  return {
    run,
    json(argv, input) {
      const { code, out, err } = run([...argv, '--json'], input);
      if (code !== 0) throw new Error(`${argv.join(' ')}: exit ${code}\n${out}${err}`);
      return JSON.parse(out) as unknown;
    },
  };
}

/** A server that was just set up; it ends with the test. */
export async function startServed(): Promise<{ readonly server: ControlServer } & ReturnType<typeof setUpByCommands>> {
  const server = await ControlServer.create();
  onTestFinished(async () => {
    if (server.isRunning) await server.kill();
  });
  await server.start();
  await server.until(() => server.saw('setup-token'), 'it offers the set-up');
  return { server, ...setUpByCommands(server) };
}

/** The first administrator, with a second factor. */
function setUpByCommands(server: ControlServer): {
  readonly shell: Shell;
  readonly given: Omit<ScriptServer, 'brokers'>;
} {
  const shell = shellIn(server.directory);
  const token = readFileSync(join(server.directory, 'lockstep-setup-token'), 'utf8').trim();
  shell.json(['setup', ADMIN, '--server', server.url, '--password-stdin'], `${token}\n${PASSWORD}\n`);
  const { secret } = shell.json(['second-factor', 'add']) as { secret: string };
  const code = new TOTP({ secret: Secret.fromBase32(secret) }).generate();
  const { recoveryCodes } = shell.json(['second-factor', 'add', '--code', code]) as { recoveryCodes: string[] };
  return { shell, given: { address: server.url, admin: ADMIN, password: PASSWORD, recoveryCodes } };
}
