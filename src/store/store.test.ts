import { testStore } from '#testing/store-suite.ts';
import { systemHost } from '#util/host.ts';
import { openMigrated } from './location.ts';

testStore(() => openMigrated({ engine: 'sqlite', path: ':memory:' }, systemHost.disk));
