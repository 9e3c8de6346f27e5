/** The `lockstep` program: gives the commands the real terminal and the real host. */
import { fileURLToPath } from 'node:url';
import { systemClock, systemDisk, systemNetwork, systemRandom } from '#util/host.ts';
import * as app from '../main.ts';
import { systemIo } from './io.ts';
import { runCommandLine } from './program.ts';

const host = { network: systemNetwork, clock: systemClock, random: systemRandom, disk: systemDisk };
const packageFile = fileURLToPath(new URL('../../package.json', import.meta.url));
const { version } = JSON.parse(systemDisk.readText(packageFile)) as { version: string };

process.exitCode = await runCommandLine(process.argv.slice(2), { io: systemIo(), host, app, version });
