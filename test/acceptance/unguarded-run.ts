/**
 * The `lockstep` command with rules switched off, those that LOCKSTEP_UNGUARDED names: what several of it do to the data
 * shows that the tests of several live mirrors can fail. Without ownership all of them write to every partition, and the
 * sequences alone keep them apart.
 */
import { systemIo } from '#cli/io.ts';
import { runCommandLine } from '#cli/program.ts';
import { systemHost as host } from '#util/host.ts';
import * as main from '../../src/main.ts';

const off = (process.env['LOCKSTEP_UNGUARDED'] ?? '').split(',');
const guards = { sequence: !off.includes('sequence'), ownership: !off.includes('ownership') };
const app: typeof main = {
  ...main,
  runMirrors: (documents, host, options) => main.runMirrors(documents, host, { ...options, guards }),
};

process.exitCode = await runCommandLine(process.argv.slice(2), { io: systemIo(), host, app, version: 'unguarded' });
