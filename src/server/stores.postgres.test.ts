/** What the files below show of roles, sign-in, browsers and other sites, once more on PostgreSQL. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { openMigrated } from '#store/location.ts';
import { playOn } from '#testing/played-control-plane.ts';
import { PostgresServer } from '#testing/postgres.ts';
import { systemHost } from '#util/host.ts';
import './browsers.test.ts';
import './cross-origin.test.ts';
import './roles.test.ts';
import './sign-in.test.ts';
import './single-sign-on.test.ts';

const TEMPLATE = 'migrated';

let server: PostgresServer;
let played: ReturnType<typeof playOn>;
let databases = 0;

beforeAll(async () => {
  server = await PostgresServer.start();
  const url = await server.createDatabase(TEMPLATE);
  await (await openMigrated({ engine: 'postgres', url }, systemHost.disk)).close();
  played = playOn(async () => ({
    engine: 'postgres',
    url: await server.createDatabase(`plane_${databases++}`, TEMPLATE),
  }));
});
afterEach(() => played.closeStores());
afterAll(async () => {
  played.end();
  await server.down('SIGINT');
});
