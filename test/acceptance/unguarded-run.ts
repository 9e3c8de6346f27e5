/**
 * The `lockstep` command with the sequence rule switched off (exactness.md rule 2): what several of it do to the data shows
 * that the test of several live mirrors can fail.
 */
import { systemIo } from '#cli/io.ts';
import { runCommandLine } from '#cli/program.ts';
import { systemHost as host } from '#util/host.ts';
import * as main from '../../src/main.ts';

const app: typeof main = {
  ...main,
  runMirrors: (documents, host, options) =>
    main.runMirrors(documents, host, { ...options, guards: { sequence: false } }),
};

process.exitCode = await runCommandLine(process.argv.slice(2), { io: systemIo(), host, app, version: 'unguarded' });
