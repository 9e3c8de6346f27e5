/** Writes to the audit log in the directory that is named until it is killed; prints each sequence that was acknowledged. */
import { AuditLog } from '#prove/log/audit-log.ts';
import { must } from '#util/assert.ts';
import { systemClock, systemDisk } from '#util/host.ts';
import { event, LOG_KEY } from './audit-events.ts';

const directory = must(process.argv[2], 'directory');
const log = await AuditLog.open({
  disk: systemDisk,
  directory,
  clock: systemClock,
  key: LOG_KEY,
  onFailure: (error) => {
    throw error;
  },
  journalBytesMax: 100_000,
});
for (const intent of log.dangling) await log.settle(intent, 'unknown');
for (;;) {
  const intent = await log.intend(event());
  const events = Array.from({ length: 50 }, () => log.record(event('topics.view')));
  const entries = await Promise.all([...events, log.settle(intent, 'succeeded')]);
  await log.publish();
  process.stdout.write(`${[intent, ...entries].map(({ seq }) => seq).join('\n')}\n`);
}
