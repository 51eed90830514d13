// Two projects: `unit` runs its files side by side; `e2e` starts servers and emulators.
// Two workers, as the smallest machine this must run on has two cores.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    maxWorkers: 2,
    // Tests that say they may run side by side wait for polls and timeouts, not for a processor.
    maxConcurrency: 16,
    // A deadline for what has failed, not a pace: on a busy machine a second is soon gone.
    expect: { poll: { timeout: 10_000 } },
    // What tests print, such as the seeds of their random numbers, is shown of those that failed.
    silent: 'passed-only',
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**'],
          testTimeout: 30_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
