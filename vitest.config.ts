import { globSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { selectionVariable } from './test/faults/results.ts';

const KAFKA_SUITES = '**/*.kafka.test.ts';
const POSTGRES_SUITES = '**/*.postgres.test.ts';
const FAULT_SUITES = '**/*.fault.test.ts';
/** Those with a fault of the share; all when faults are selected by name. A file must have a test. */
const faultFiles = globSync(`test/faults/${FAULT_SUITES}`).filter(
  (path) => process.env[selectionVariable] || readFileSync(path, 'utf8').includes('share: true'),
);

/** After the unit tests, three files at a time: brokers are JVMs, and each file waits more than it works. */
const withBrokers = { maxWorkers: 3, sequence: { groupOrder: 1 } };

export default defineConfig({
  test: {
    pool: 'threads',
    allowOnly: false,
    reporters: ['default', './test/summary.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['{bench,src,test,scripts}/**/*.test.ts'],
          exclude: [KAFKA_SUITES, FAULT_SUITES, POSTGRES_SUITES],
          // Unit files share nothing that a test changes, and a fresh thread per file costs more than most of them run.
          isolate: false,
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'kafka',
          include: [`{bench,src,test,scripts}/${KAFKA_SUITES}`],
          globalSetup: ['test/global-setup.ts'],
          ...withBrokers,
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'postgres',
          include: [`{src,test}/${POSTGRES_SUITES}`],
          // After those: Vitest has one number of workers for each group.
          sequence: { groupOrder: 2 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          include: faultFiles,
          globalSetup: ['test/global-setup.ts'],
          ...withBrokers,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
