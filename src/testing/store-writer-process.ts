/** Writes to a store until it is killed, and says each time what it was told is done: `store-writer-process.ts FILE`. */
import { must } from '#util/assert.ts';
import { systemHost } from '#util/host.ts';
import { openMigrated } from '#store/location.ts';
import { createLocalStore } from '#store/open-store.ts';
import { plainEvent } from './plain-event.ts';

const path = must(process.argv[2], 'path of the database');
const store = createLocalStore(await openMigrated({ engine: 'sqlite', path }, systemHost.disk), systemHost);
for (let written = 1; ; written += 1) {
  // Two rows at a time: a reader must never find one of them alone.
  await store.events.add(
    [1, 2].map((half) => ({ ...plainEvent, at: 0, message: `${written}/${half} ${'x'.repeat(2000)}` })),
  );
  process.stdout.write(`${written}\n`);
}
