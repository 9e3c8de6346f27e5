/** Runs once before the suites that start real brokers: what they are made of is fetched when it is missing. */
import { setup } from '../scripts/setup.ts';

export default async function globalSetup(): Promise<void> {
  if (process.argv.includes('list')) return; // `vitest list` runs nothing
  try {
    await setup();
  } catch (error) {
    // Without brokers there is nothing to run, and the message already says what to install: a stack would bury it.
    process.stderr.write(`lockstep: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
