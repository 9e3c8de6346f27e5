import { defineConfig } from 'vitest/config';

const KAFKA_SUITES = '**/*.kafka.test.ts';

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
          include: ['{src,test,scripts}/**/*.test.ts'],
          exclude: [KAFKA_SUITES],
          // Unit files share nothing that a test changes, and a fresh thread per file costs more than most of them run.
          isolate: false,
          testTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'kafka',
          include: [`{src,test,scripts}/${KAFKA_SUITES}`],
          globalSetup: ['test/global-setup.ts'],
          // Brokers are JVMs: one suite at a time, after the unit tests, and time for a loaded machine.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
