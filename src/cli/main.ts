/** The `lockstep` program: gives the commands the real terminal and the real host. */
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { systemHost as host } from '#util/host.ts';
import * as app from '../main.ts';
import { systemIo } from './io.ts';
import { processCommands } from './process-commands.ts';
import { runCommandLine } from './program.ts';
import { reportError } from './report-error.ts';

// V8 lets a heap that grows fast reach four times what was alive before it looks again. What is fetched lies outside of it.
setFlagsFromString('--heap-growing-percent=50');

const packageFile = fileURLToPath(new URL('../../package.json', import.meta.url));
const { version } = JSON.parse(host.disk.readText(packageFile)) as { version: string };

const io = systemIo();
const argv = process.argv.slice(2);

// A bug outside of what the command waits for still ends as one message; Node would print the source and a stack.
process.on('uncaughtException', (error) => {
  process.exit(reportError(io, error, { json: argv.includes('--json') }));
});

// A server has more to load; it says itself when there is work.
if (!Object.hasOwn(processCommands.verbs, argv[0] ?? '')) host.growHeap();

process.exitCode = await runCommandLine(argv, { io, host, app, version });
