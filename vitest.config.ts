import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['server/**/*.test.ts', 'client/**/*.test.ts', 'scripts/**/*.test.ts'],
    globalSetup: ['server/testing/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // The default of a second is less than a busy machine may take.
    expect: { poll: { timeout: 15_000 } },
    pool: 'forks',
    // The default leaves a core to the main process, which hardly needs it: on two cores files would run one by one.
    maxWorkers: '100%',
  },
})
