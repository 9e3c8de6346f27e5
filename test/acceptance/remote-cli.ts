/** The shell scripts of this folder, run by bash with the real command against a server. */
import { globSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { spawnSupervised, temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';

const folder = join(import.meta.dirname, 'scripts');
const command = join(import.meta.dirname, '..', '..', 'bin', 'lockstep.js');

export const scripts = globSync('*.sh', { cwd: folder })
  .filter((name) => name !== 'lib.sh')
  .toSorted();

export interface ScriptServer {
  readonly address: string;
  readonly admin: string;
  readonly password: string;
  /** Two clusters, with a space between them. */
  readonly brokers: string;
  /** Of the administrator, where it has a second factor; each is good once. */
  readonly recoveryCodes?: readonly string[];
}

/** What it said, where it failed; '' where it did not. */
export async function runScript(name: string, server: ScriptServer): Promise<string> {
  const { address, admin, password, brokers, recoveryCodes = [] } = server;
  const home = temporaryDirectory(`script-${basename(name, '.sh')}`);
  writeFileSync(join(home, 'codes'), recoveryCodes.map((code) => `${code}\n`).join(''));
  const child = spawnSupervised('bash', [join(folder, name)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      // The Node that runs the tests is the one that scripts find.
      PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
      HOME: home,
      LOCKSTEP: command,
      SERVER: address,
      ADMIN: admin,
      ADMIN_PASSWORD: password,
      BROKERS: brokers,
    },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    must(stream, 'stream')
      .setEncoding('utf8')
      .on('data', (text: string) => (said += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return code === 0 ? '' : `exit ${code}\n${said}`;
}
